"""What the rest of the server uses of a ledger: `ledger.sqlite` and `ledger.postgres` each have an implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

from pnl_backend.domain.readings import ClosedCosts, Confirmed, CostRow, Position
from pnl_backend.domain.record import DayClose, Record, Restatement
from pnl_backend.ledger.sql.accounts import Accounts
from pnl_backend.ledger.sql.condition import State
from pnl_backend.ledger.sql.facts import Facts
from pnl_backend.ledger.sql.markets import KnownMarkets
from pnl_backend.wire.history import HistoryRow, Resolution, Rows


class ReadLedger(Protocol):
    """A ledger that is read; every method raises StoreError when it cannot be."""

    facts: Facts
    accounts: Accounts

    @property
    def epoch(self) -> str:
        """The id of a sequence of snapshots; sequence numbers are only comparable within one epoch."""
        ...

    @property
    def last_seq(self) -> int:
        """The last sequence number that is taken, by a stored snapshot or a skip; 0 before the first."""
        ...

    @property
    def first_run(self) -> date:
        """The UTC day on which this ledger was begun."""
        ...

    @property
    def restatements(self) -> tuple[Restatement, ...]:
        """Each reason why older snapshots are no baselines, oldest first."""
        ...

    @property
    def restated_to(self) -> int:
        """The last sequence number that is marked as restated; 0 if none is."""
        ...

    async def latest(self) -> Record | None:
        """The newest stored snapshot."""
        ...

    async def newest(self, limit: int) -> list[Record]:
        """The newest `limit` snapshots, oldest first."""
        ...

    async def since(self, epoch: str, seq: int, *, limit: int = 1000) -> list[Record] | None:
        """The next `limit` snapshots after `(epoch, seq)`, oldest first; None if they are not exactly known."""
        ...

    async def holds(self, epoch: str, seq: int, last: int) -> bool:
        """Whether `(epoch, seq)` and every snapshot after it up to `last` is held."""
        ...

    async def history(
        self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None
    ) -> list[HistoryRow]:
        """The rows of every interval that touches `start` to `end` (ms)."""
        ...

    def export(self, start: int, end: int, resolution: Resolution, /) -> AsyncIterator[Rows]:
        """The same rows in chunks, any number of them, in constant memory."""
        ...

    async def daily_closes(self, days: int) -> list[DayClose]:
        """The totals at the end of each of the last `days` business days, oldest first."""
        ...

    async def last_complete_before(self, at_ms: int, configured: Collection[str]) -> Record | None:
        """The last snapshot before an instant in which each of these sources is whole, and that was not restated."""
        ...

    async def first_complete(self, from_ms: int, configured: Collection[str]) -> Record | None:
        """The first snapshot at or after an instant in which each of these sources is whole, and not restated."""
        ...

    async def is_whole(self) -> bool:
        """Whether this ledger has held the account's whole history since a snapshot that it noted."""
        ...

    async def load(self) -> ClosedCosts:
        """The closed days, and their costs."""
        ...

    async def secret(self) -> bytes:
        """A random secret of this ledger: what it signs can be verified after a restart, and by other nodes."""
        ...

    def health(self) -> State:
        """The state of the ledger after the last write, of a reader after the last read."""
        ...

    async def close(self) -> None:
        """Finish what is in progress and close the ledger."""
        ...


class Ledger(ReadLedger, Protocol):
    """A ledger that this process writes; nobody else does. Every method raises StoreError."""

    markets: KnownMarkets

    async def append(self, record: Record, *, positions: Iterable[Position] = ()) -> None:
        """Commit one snapshot, and with it what changed in the account's positions; durable when it returns."""
        ...

    async def restate(self, source: str, reason: str, at: int) -> Restatement:
        """Mark every snapshot so far as restated: it stays as it was published, and nothing is compared with it."""
        ...

    async def note_whole(self) -> None:
        """Note that from the next snapshot on the ledger holds the account's whole history."""
        ...

    async def save(
        self, day_from: date, day_to: date, rows: Sequence[CostRow], confirmed: Confirmed | None = None
    ) -> None:
        """Close the days from `day_from` to `day_to`, both included, with exactly these rows, all or nothing."""
        ...

    async def prune(self, keep_days: int) -> int:
        """Delete raw snapshots older than `keep_days` business days; returns their number."""
        ...

    async def backup(self, directory: Path, *, keep_days: int) -> Path:
        """Write and verify a backup; StoreError where the database makes its own."""
        ...

    async def forget_account(self) -> None:
        """Remove the account's facts and the deals, for the demo, whose account begins anew with every start."""
        ...

    async def probe(self) -> None:
        """Write a value, to find out whether the ledger works and to recover it if possible."""
        ...
