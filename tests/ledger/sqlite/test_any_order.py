"""Whatever happens to a ledger in whatever order, it holds exactly what it said it holds, and replays no more."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from pnl_backend.domain.record import Record
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store
from tests.ledger.sqlite.ledger import NOON
from tests.ledger.sqlite.recompute import kept, recomputed

LEAST_SKIP = 3

deeds = st.lists(
    st.sampled_from(["append", "append", "append", "lose", "retry", "restart", "delete", "forget log"]), max_size=20
)


class Ledger:
    """A store and what it must hold: the numbers stored, and the last one offered."""

    def __init__(self, path: Path, store: Store) -> None:
        self.path = path
        self.store = store
        self.stored: list[int] = []
        self.offered = 0
        self.version = 0
        self.skipped: set[int] = set()

    async def do(self, deed: str) -> None:
        if deed == "append":
            await self.append(self.offered + 1)
        elif deed == "lose":
            await self.fail(self.offered + 1)
        elif deed == "retry":
            await self.fail(self.offered + 1)
            await self.append(self.offered)
        elif deed == "restart":
            await self.store.close()
            self.store = await open_(self.path)
            taken = max([*self.stored, *self.skipped, 0])
            if self.offered > taken:  # what was lost may have been published
                self.skipped |= set(range(taken + 1, taken + LEAST_SKIP + 1))
            self.offered = self.store.last_seq
        elif deed == "delete":
            self.path.unlink(missing_ok=True)
        else:
            Path(f"{self.path}-wal").unlink(missing_ok=True)

    async def append(self, seq: int) -> None:
        await self.store.append(self.record(seq))
        self.offered = seq
        self.stored.append(seq)

    async def fail(self, seq: int) -> None:
        await self.store.probe()  # puts a deleted file back
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            try:
                await self.store.append(self.record(seq))
            except StoreError:
                self.offered = seq
            else:
                raise AssertionError("stored under another process's lock")

    def record(self, seq: int) -> Record:
        self.version += 1
        blob = b"%d" % self.version
        return Record(self.store.epoch, seq, NOON + seq * 17_000, self.version, seq, -seq, 7, blob, blob)


async def open_(path: Path) -> Store:
    return await Store.open(path, origin="live", busy_timeout_ms=1, clock=lambda: NOON / 1000)


async def run(path: Path, deeds: list[str]) -> None:
    ledger = Ledger(path, await open_(path))
    epoch = ledger.store.epoch
    for deed in [*deeds, "append"]:
        if deed == "restart":
            await ledger.store.probe()  # a file deleted while nobody writes is gone for good
        await ledger.do(deed)
        store, stored = ledger.store, ledger.stored
        assert store.epoch == epoch
        skipped = ledger.skipped
        assert store.last_seq == max([*stored, *skipped, 0])
        held = await store.newest(1000)
        assert [one.seq for one in held] == stored
        assert await store.latest() == (held[-1] if held else None)
        for seq in range(store.last_seq + 2):
            missed = await store.since(epoch, seq)
            expected = [n for n in range(seq + 1, store.last_seq + 1) if n not in skipped]
            known = seq in {0, *stored} or (seq in skipped and seq + 1 not in skipped)
            whole = known and expected == [n for n in stored if n > seq]
            assert (None if missed is None else [one.seq for one in missed]) == (expected if whole else None)
    await ledger.store.close()
    assert kept(path) == recomputed(path)
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        gaps = reader.execute("SELECT first_seq, last_seq FROM gaps").fetchall()
    missing = set(range(1, ledger.stored[-1] + 1)) - set(ledger.stored) - ledger.skipped
    assert {n for first, last in gaps for n in range(first, last + 1)} == missing


@settings(max_examples=40, deadline=None)
@given(deeds)
def test_events_in_any_order(deeds: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place, patch("pnl_backend.ledger.sql.numbering.LEAST_SKIP", LEAST_SKIP):
        asyncio.run(run(Path(place) / "pnl.db", deeds))
