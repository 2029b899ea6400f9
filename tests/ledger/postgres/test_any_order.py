"""Whatever happens to a ledger in whatever order, it holds exactly what it reported as stored."""

from __future__ import annotations

import asyncio
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnl_backend.domain.record import Record
from pnl_backend.errors import StoreError
from pnl_backend.ledger.postgres import Store
from pnl_backend.ledger.sql.rollups import Calendar, Rollup
from tests.ledger.sqlite.ledger import NOON
from tests.ledger.sqlite.recompute import from_raw
from tests.ledger.store.places import PostgresPlace, PostgresPlaces
from tests.support.postgres import PostgresServer

LEAST_SKIP = 3

steps = st.lists(
    st.sampled_from(["append", "append", "append", "lose", "retry", "restart", "end sessions"]), max_size=12
)


class Ledger:
    """A store and what it must hold: the numbers stored, and the last one offered."""

    def __init__(self, place: PostgresPlace, store: Store) -> None:
        self.place = place
        self.store = store
        self.stored: list[int] = []
        self.skipped: set[int] = set()
        self.offered = 0
        self.version = 0

    async def do(self, step: str) -> None:
        if step == "append":
            await self.append(self.offered + 1)
        elif step == "lose":
            await self.fail(self.offered + 1)
        elif step == "retry":
            await self.fail(self.offered + 1)
            await self.append(self.offered)
        elif step == "restart":
            await self.store.close()
            self.store = await self.place.open(clock=lambda: NOON / 1000)
            taken = max([*self.stored, *self.skipped, 0])
            if self.offered > taken:  # what was lost may have been published
                self.skipped |= set(range(taken + 1, taken + LEAST_SKIP + 1))
            self.offered = self.store.last_seq
        else:
            self.place.server.end_sessions("pnl-backend%")

    async def append(self, seq: int) -> None:
        await self.store.append(self.record(seq))
        self.offered = seq
        self.stored.append(seq)

    async def fail(self, seq: int) -> None:
        with self.place.refusing(), pytest.raises(StoreError):
            await self.store.append(self.record(seq))
        self.offered = seq

    def record(self, seq: int) -> Record:
        self.version += 1
        blob = b"%d" % self.version
        return Record(self.store.epoch, seq, NOON + seq * 17_000, self.version, seq, -seq, 7, blob, blob)


async def run(place: PostgresPlace, given: list[str]) -> None:
    ledger = Ledger(place, await place.open(clock=lambda: NOON / 1000))
    for step in [*given, "append"]:
        await ledger.do(step)
        assert ledger.store.last_seq == max([*ledger.stored, *ledger.skipped, 0])
        assert [one.seq for one in await ledger.store.newest(1000)] == ledger.stored
    await ledger.store.close()
    raw = place.ask("SELECT seq, at, net, kalshi, costs, revenue FROM snapshots")
    expected = from_raw([(*row, True, frozenset(), False) for row in raw], Calendar(ZoneInfo("UTC")))
    held = map(Rollup._make, place.ask("SELECT * FROM rollups"))
    assert {(row.span, row.start): row for row in held} == expected
    gaps = place.ask("SELECT first_seq, last_seq FROM gaps")
    missing = set(range(1, ledger.stored[-1] + 1)) - set(ledger.stored) - ledger.skipped
    assert {n for first, last in gaps for n in range(first, last + 1)} == missing


@settings(max_examples=8)
@given(steps=steps)
def test_any_order_of_steps(postgres: PostgresServer, steps: list[str]) -> None:
    places = PostgresPlaces(postgres)
    place = places.new()
    with patch("pnl_backend.ledger.sql.numbering.LEAST_SKIP", LEAST_SKIP):
        asyncio.run(run(place, steps))
    places.remove(place)
