"""The ledger as the rest of the server uses it: appends are durable, queries read what was appended."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend.domain.readings import ClosedCosts, Confirmed, CostRow, Position
from pnl_backend.domain.record import Record
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import integrity, maintenance, numbering, remembered, replay, rollups, run, snapshots
from pnl_backend.ledger.sqlite.accounts import Accounts
from pnl_backend.ledger.sqlite.baselines import Baselines
from pnl_backend.ledger.sqlite.condition import Condition, State
from pnl_backend.ledger.sqlite.database import Database
from pnl_backend.ledger.sqlite.facts import Facts
from pnl_backend.ledger.sqlite.history import DayClose, Ranges
from pnl_backend.ledger.sqlite.ledger_file import BUSY_TIMEOUT_MS, Origin, Synchronous
from pnl_backend.ledger.sqlite.maintenance import REPLAY_ROWS, ProgressLog
from pnl_backend.ledger.sqlite.markets import KnownMarkets, write_markets
from pnl_backend.ledger.sqlite.rollups import Calendar
from pnl_backend.ledger.sqlite.run import Run
from pnl_backend.wire.history import HistoryRow, Resolution, Rows


class Store(Baselines):
    """The ledger. Opened with `Store.open`, closed with `close`; it recovers when the cause of a failure has ended.

    `synchronous` sets the durability: after `append` a snapshot survives kill -9 with either value; with FULL it
    survives a power cut too, with NORMAL a power cut may lose the snapshots since the last checkpoint (200 at most).
    """

    def __init__(
        self,
        path: Path,
        *,
        origin: Origin,
        clock: Callable[[], float],
        synchronous: Synchronous,
        busy_timeout_ms: int,
        zone: ZoneInfo,
        first_run: date | None,
    ) -> None:
        self._clock = clock
        self._progress = ProgressLog()
        self._synchronous: Synchronous = synchronous
        self._calendar = Calendar(zone)
        self._run = Run(
            now=self._now,
            calendar=self._calendar,
            progress=self._progress,
            synchronous=synchronous,
            first_run=first_run,
        )
        self._condition = Condition(self._now)
        self._database = Database(
            path,
            origin=origin,
            synchronous=synchronous,
            busy_timeout_ms=busy_timeout_ms,
            clock=clock,
            progress=self._progress,
            continued=self._run.continued,
            opened=self._run.opened,
            on_write=self._condition.on_write,
            on_standby=self._run.on_standby,
        )
        self.facts = Facts(self._database)
        self.accounts = Accounts(self._database, clock)
        self.markets = KnownMarkets(self._database, self._run.markets)
        """The account's markets, and how far its settled ones were read."""
        self._history = Ranges(self._database, Calendar(zone))  # of its own: a calendar belongs to one thread

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        origin: Origin,
        clock: Callable[[], float] = time.time,
        synchronous: Synchronous = "FULL",
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        timezone: str = "UTC",
        first_run: date | None = None,
        tolerant: bool = False,
    ) -> Store:
        """Open the ledger at `path`, created with mode 0600 if missing and migrated if older.

        StoreError says what is wrong: not ours, newer, of the other origin, in use, unreadable. `busy_timeout_ms` is
        how long a write waits for another process's lock, `timezone` the zone of the business days, `first_run` the
        day that a new file is dated with, if it replaces an earlier ledger. With `tolerant` a ledger that cannot be
        written for lack of permission or space is opened too: it is read, and appends fail until it can be written.
        """
        store = cls(
            Path(path),
            origin=origin,
            clock=clock,
            synchronous=synchronous,
            busy_timeout_ms=busy_timeout_ms,
            zone=ZoneInfo(timezone),
            first_run=first_run,
        )
        await store._database.open(tolerant=tolerant)
        logger.info(
            "Ledger {} open (SQLite {}, synchronous={}), epoch {}, last snapshot {}",
            path, sqlite3.sqlite_version, synchronous, store.epoch, store.last_seq,
        )  # fmt: skip
        return store

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

        def work(connection: sqlite3.Connection) -> None:
            if self._condition.failures:
                rollups.forget_from(connection, record.seq, self._calendar)
                snapshots.forget_from(connection, record.seq)
            if record.seq > self._run.last_seq + 1:
                snapshots.note_gap(connection, self._run.last_seq + 1, record.seq - 1, self._now())
            snapshots.insert(connection, record)
            rollups.add(connection, record, self._calendar)
            write_markets(connection, changes, record.at)

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

    async def prune(self, keep_days: int, *, replay_rows: int = REPLAY_ROWS) -> int:
        """Delete raw snapshots older than `keep_days` business days, in short batches; returns their number.

        The newest `replay_rows` stay, because clients may request their replay.
        """
        return await maintenance.prune(
            self._database, self._calendar, keep_days=keep_days, now=self._now(), replay_rows=replay_rows
        )

    async def backup(self, directory: Path, *, keep_days: int) -> Path:
        """Write and verify a backup while the server runs; those older than `keep_days` are removed."""
        return await maintenance.backup_beside(
            self._database.path, directory, keep_days=keep_days, now=self._clock(), progress=self._progress
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
        probed = ("probed_at", str(self._now()))
        await self._database.write(
            lambda connection: connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", probed)
        )

    async def note_damage(self, finding: str) -> None:
        """Have the next start rename this file as damaged; nothing happens if this cannot be written."""
        with suppress(StoreError):
            await self._database.write(lambda connection: integrity.note(connection, finding))

    async def secret(self) -> bytes:
        """A random secret of this ledger, made once: what it signs can be verified after a restart."""
        if self._run.provisional:
            self._run.secret = self._run.secret or secrets.token_hex(32)
            return bytes.fromhex(self._run.secret)
        return bytes.fromhex(await self._database.write(run.read_secret))

    async def close(self) -> None:
        """Finish the write in progress, write the log back into the file, and close it.

        If every snapshot is stored, the file is marked as closed cleanly.
        """
        if self._run.identity is not None and self._run.offered <= self._run.last_seq:
            with suppress(StoreError):
                await self._database.write(numbering.end_run)
        await self._database.close()

    def _now(self) -> int:
        return int(self._clock() * 1000)
