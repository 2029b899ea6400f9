"""The ledger as the rest of the server uses it: appends are durable, queries read what was appended."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import date

from pnl_backend.domain.readings import ClosedCosts, Confirmed, CostRow, Position
from pnl_backend.domain.record import DayClose, Record
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql import numbering, remembered, replay, retention, rollups, run, snapshots
from pnl_backend.ledger.sql.accounts import Accounts
from pnl_backend.ledger.sql.baselines import Baselines
from pnl_backend.ledger.sql.condition import Condition, State
from pnl_backend.ledger.sql.connection import Connection, Database
from pnl_backend.ledger.sql.facts import Facts
from pnl_backend.ledger.sql.history import Ranges
from pnl_backend.ledger.sql.markets import KnownMarkets, write_markets
from pnl_backend.ledger.sql.rollups import Calendar
from pnl_backend.ledger.sql.run import Run
from pnl_backend.wire.history import HistoryRow, Resolution, Rows


class LedgerStore(Baselines):
    """What the stores of both databases share; it recovers when the cause of a failure has ended.

    `synchronous` is what the health report says of the durability.
    """

    def __init__(
        self,
        database: Database,
        run: Run,
        condition: Condition,
        *,
        clock: Callable[[], float],
        calendar: Calendar,
        synchronous: str,
    ) -> None:
        self._database = database
        self._run = run
        self._condition = condition
        self._clock = clock
        self._calendar = calendar
        self._synchronous = synchronous
        self.facts = Facts(database)
        self.accounts = Accounts(database, clock)
        self.markets = KnownMarkets(database, run.markets)
        """The account's markets, and how far its settled ones were read."""
        self._history = Ranges(database, Calendar(calendar.zone))  # of its own: a calendar belongs to one thread

    @property
    def epoch(self) -> str:
        """The id of a sequence of snapshots; sequence numbers are only comparable within one epoch."""
        return self._run.known.epoch

    @property
    def last_seq(self) -> int:
        """The last sequence number that is taken, by a stored snapshot or a skip; 0 before the first."""
        return self._run.last_seq

    @property
    def first_run(self) -> date:
        """The UTC day on which this ledger was begun."""
        return self._run.known.first_run

    async def append(self, record: Record, *, positions: Iterable[Position] = ()) -> None:
        """Commit one snapshot, and with it what changed in the account's positions.

        Durable when it returns. The sequence number must follow the last one stored, or the last one whose append
        failed: what was skipped is noted as a gap. A snapshot whose append failed may be appended again.
        """
        if (
            record.epoch != self.epoch
            or not self._run.last_seq < record.seq <= max(self._run.offered, self._run.last_seq) + 1
        ):
            raise StoreError(
                f"snapshot {record.epoch}-{record.seq} does not follow {self.epoch}-{self._run.last_seq} in the ledger"
            )
        self._run.offered = max(self._run.offered, record.seq)
        changes = self._run.markets.changes(positions)

        def work(connection: Connection) -> None:
            if self._condition.failures:
                rollups.forget_from(connection, record.seq, self._calendar)
                snapshots.forget_from(connection, record.seq)
            if record.seq > self._run.last_seq + 1:
                snapshots.note_gap(connection, self._run.last_seq + 1, record.seq - 1, self._now())
            snapshots.insert(connection, record)
            rollups.add(connection, record, self._calendar)
            write_markets(connection, changes, record.at)
            self._note_stored(connection, record.seq)

        def stored() -> None:
            self._run.lost += record.seq - self._run.last_seq - 1
            self._run.last_seq = record.seq
            self._run.latest = record
            self._run.markets.stored(changes)

        await self._database.write(work, stored)

    async def latest(self) -> Record | None:
        """The newest stored snapshot, from memory."""
        return self._run.latest

    async def newest(self, limit: int) -> list[Record]:
        """The newest `limit` snapshots, oldest first."""
        rows = await self._database.read(snapshots.NEWEST, (limit,))
        return self._run.epochs.records(rows[::-1])

    async def since(self, epoch: str, seq: int, *, limit: int = 1000) -> list[Record] | None:
        """The next snapshots after `(epoch, seq)`, oldest first, `limit` at most: one page of a replay.

        None if they are not exactly known: another epoch, a number in the future, a gap, or `seq` itself is not held
        (deleted, or published while the ledger could not be written).
        """
        if epoch != self.epoch:
            return None
        return await replay.page(self._database, self._run, seq, limit)

    async def holds(self, epoch: str, seq: int, last: int) -> bool:
        """Whether `(epoch, seq)` and every snapshot after it up to `last` is held."""
        return epoch == self.epoch and await replay.holds(self._database, self._run, seq, last)

    async def history(
        self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None
    ) -> list[HistoryRow]:
        """The rows of every interval that touches `start` to `end`; see `Ranges`."""
        return await self._history.rows(start, end, resolution, limit)

    def export(self, start: int, end: int, resolution: Resolution, /) -> AsyncIterator[Rows]:
        """The same rows in chunks, any number of them, in constant memory."""
        return self._history.chunks(start, end, resolution)

    async def daily_closes(self, days: int) -> list[DayClose]:
        """The totals at the end of each of the last `days` business days, oldest first; for today the present ones.

        Days before the first snapshot are left out; a day without any snapshot repeats the day before.
        """
        return await self._history.closes(days, self._now())

    async def load(self) -> ClosedCosts:
        """The closed days, and their costs."""
        days = await self._database.read(remembered.COST_DAYS)
        costs = await self._database.read(remembered.CLOSED_COSTS)
        # A year of rows by API key would hold the loop.
        return await asyncio.to_thread(remembered.closed_costs, days, costs)

    async def save(
        self, day_from: date, day_to: date, rows: Sequence[CostRow], confirmed: Confirmed | None = None
    ) -> None:
        """Close the days from `day_from` to `day_to`, both included, with exactly these rows, all or nothing.

        What differs in a day that was closed before is kept as a correction, and what is gone from an open one.
        """
        outside = [row.day for row in rows if not day_from <= row.day <= day_to]
        if outside:
            raise StoreError(f"a cost of {outside[0]} cannot close the days from {day_from} to {day_to}")
        now = self._now()
        await self._database.write(
            lambda connection: remembered.save_days(connection, day_from, day_to, rows, confirmed=confirmed, now=now)
        )

    async def prune(self, keep_days: int, *, replay_rows: int = retention.REPLAY_ROWS) -> int:
        """Delete raw snapshots older than `keep_days` business days, in short batches; returns their number.

        The newest `replay_rows` stay, because clients may request their replay.
        """
        return await retention.prune(
            self._database, self._calendar, keep_days=keep_days, now=self._now(), replay_rows=replay_rows
        )

    async def forget_account(self) -> None:
        """Remove the account's facts and the deals, for the demo, whose account begins anew with every start."""
        if self._run.provisional:
            self._run.forget_account = True
            self._run.markets.forget()
        else:
            await self._database.write(run.forget_account, self._run.markets.forget)

    def health(self) -> State:
        """The state of the ledger after the last write."""
        return {
            "state": "down" if self._condition.error else "connected",
            "since": self._condition.since,
            "error": self._condition.error,
            "unstored": self._run.lost + max(0, self._run.offered - self._run.last_seq),
            "lost": self._run.gone,
            "synchronous": self._synchronous,
        }

    async def probe(self) -> None:
        """Write a value, to find out whether the ledger works and to recover it if possible; raises StoreError."""
        now = str(self._now())
        await self._database.write(lambda connection: numbering.put_meta(connection, "probed_at", now))

    async def secret(self) -> bytes:
        """A random secret of this ledger, made once: what it signs can be verified after a restart."""
        if self._run.provisional:
            self._run.secret = self._run.secret or secrets.token_hex(32)
            return bytes.fromhex(self._run.secret)
        return bytes.fromhex(await self._database.write(run.read_secret))

    async def close(self) -> None:
        """Finish the write in progress and close the ledger.

        If every snapshot is stored, the ledger is marked as closed cleanly.
        """
        if self._run.identity is not None and self._run.offered <= self._run.last_seq:
            with suppress(StoreError):
                await self._database.write(numbering.end_run)
        await self._database.close()

    def _note_stored(self, connection: Connection, seq: int) -> None:
        """Called in the transaction that stores a snapshot."""

    def _now(self) -> int:
        return int(self._clock() * 1000)
