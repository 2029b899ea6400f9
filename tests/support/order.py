"""The order in which a run begins its tests: the longest first, so that no worker is left alone with one at the end.

`pytest -n N --dist worksteal` gives each worker a part of the list to begin with, and later the end of another's part.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

SLOW = 10.0
"""Seconds."""
LOADED = 6
"""A loaded machine takes so many times as long."""


def seconds(item: pytest.Item) -> float:
    """What its mark `slow` says that it takes, `SLOW` where it gives no number; 0 without that mark."""
    mark = item.get_closest_marker("slow")
    if mark is None:
        return 0.0
    return float(*mark.args or (SLOW,))


def longest_first(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same tests: at the beginning of each worker's part some of the slow ones, dealt so that all have as much of
    them; the others follow in their order."""
    slow = sorted((item for item in items if seconds(item)), key=seconds, reverse=True)
    others = [item for item in items if not seconds(item)]
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for item in slow:
        min(hands, key=lambda hand: sum(map(seconds, hand))).append(item)
    ordered: list[pytest.Item] = []
    for hand, size in zip(hands, parts(len(items), workers), strict=True):
        room = max(size - len(hand), 0)
        ordered += [*hand, *others[:room]]
        del others[:room]
    return ordered + others


def parts(count: int, workers: int) -> list[int]:
    """How many of `count` tests each worker is given to begin with."""
    sizes: list[int] = []
    for left in range(workers, 0, -1):
        sizes.append((count - sum(sizes)) // left)
    return sizes
