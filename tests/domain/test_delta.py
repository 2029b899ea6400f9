"""Deltas of the ledger feed: what counts as a change."""

from dataclasses import replace

import pytest

from pnl_backend.domain.delta import Sums, diff

HELD = Sums(seq=1, at=1_772_058_240_000, net=500, kalshi=300, costs=100, revenue=300)


@pytest.mark.parametrize(
    "changed",
    [
        {"kalshi": 100, "costs": 100},
        {"kalshi": 1, "revenue": -1},
        {"costs": -5, "revenue": -5},
        {"kalshi": 1, "revenue": 1, "costs": 2},
        {"net": 1, "kalshi": 1},
    ],
)
def test_a_delta_whose_changes_offset_each_other_is_not_empty(changed):
    moved = {name: getattr(HELD, name) + cents for name, cents in changed.items()}
    assert not diff(HELD, replace(HELD, seq=2, **moved)).is_empty


def test_a_delta_of_time_alone_is_empty():
    assert diff(HELD, replace(HELD, seq=2, at=HELD.at + 5000)).is_empty
