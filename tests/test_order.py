"""The order of a run: every test once, the slow ones at the beginning of each worker's part, with the load shared."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.order import SLOW, longest_first, parts, seconds


class Item:
    """As much of a pytest item as is looked at."""

    def __init__(self, name: str, *arguments: float, slow: bool = False) -> None:
        self.name = name
        self._mark = pytest.mark.slow(*arguments).mark if slow or arguments else None

    def get_closest_marker(self, name: str) -> Any:
        return self._mark if name == "slow" else None


def test_a_mark_without_a_number_is_ten_seconds() -> None:
    assert [seconds(item) for item in (Item("a"), Item("b", slow=True), Item("c", 40))] == [0, SLOW, 40]


def test_the_parts_are_those_that_the_workers_are_given() -> None:
    assert parts(10, 4) == [2, 2, 3, 3]
    assert parts(3, 4) == [0, 1, 1, 1]


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 50])
def test_every_test_is_there_once_and_the_quick_ones_keep_their_order(workers: int) -> None:
    items: list[Any] = [Item(f"t{n}", *((n,) if n % 7 == 1 else ())) for n in range(40)]
    ordered = longest_first(items, workers)
    assert sorted(item.name for item in ordered) == sorted(item.name for item in items)
    assert [i for i in ordered if not seconds(i)] == [i for i in items if not seconds(i)]


def test_each_part_begins_with_its_share_of_the_slow_ones_the_longest_first() -> None:
    items: list[Any] = [*(Item("quick") for _ in range(36)), *(Item("slow", n) for n in (20, 110, 50, 30))]
    ordered = longest_first(items, 2)
    assert [seconds(item) for item in ordered[:2]] == [110, 0]
    assert [seconds(item) for item in ordered[20:24]] == [50, 30, 20, 0]
