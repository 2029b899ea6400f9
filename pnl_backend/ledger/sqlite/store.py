"""The ledger as the rest of the server knows it: append and it is durable, ask and it is answered."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend.domain.readings import ClosedCosts, CostRow, Position
from pnl_backend.domain.record import Record
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import integrity, maintenance, numbering, remembered, rollups, snapshots, standby
from pnl_backend.ledger.sqlite.condition import Condition, State
from pnl_backend.ledger.sqlite.database import Database
from pnl_backend.ledger.sqlite.facts import Facts
from pnl_backend.ledger.sqlite.history import DayClose, Ranges
from pnl_backend.ledger.sqlite.ledger_file import Identity, Origin, Synchronous, in_full, new_epoch
from pnl_backend.ledger.sqlite.maintenance import REPLAY_ROWS, ProgressLog
from pnl_backend.ledger.sqlite.numbering import Skips
from pnl_backend.ledger.sqlite.remembered import Markets
from pnl_backend.ledger.sqlite.rollups import Calendar
from pnl_backend.ledger.sqlite.snapshots import Epochs
from pnl_backend.wire.history import HistoryRow, Resolution, Rows


class Store:
    """The ledger. Opened with `Store.open`, closed with `close`; it mends itself when what broke it goes away.

    `synchronous` is the promise: after `append` a snapshot survives kill -9 either way; with FULL it survives a power
    cut too, with NORMAL a power cut may take what came after the last checkpoint (200 snapshots at most).
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
        self._given_first_run = first_run
        self._provisional = False
        self._forget_account = False
        self._secret: str | None = None
        self._clock = clock
        self._progress = ProgressLog()
        self._synchronous: Synchronous = synchronous
        self._markets = Markets()
        self._identity: Identity | None = None
        self._epochs = Epochs([])
        self._last_seq = 0
        self._offered = 0
        self._lost = 0
        self._gone = 0
        self._skips = Skips()
        self._latest: Record | None = None
        self._condition = Condition(self._now)
        self._database = Database(
            path,
            origin=origin,
            synchronous=synchronous,
            busy_timeout_ms=busy_timeout_ms,
            clock=clock,
            progress=self._progress,
            continued=self._continued,
            opened=self._opened,
            on_write=self._condition.on_write,
            on_standby=self._on_standby,
        )
        self._calendar = Calendar(zone)
        self.facts = Facts(self._database)
        """What the upstreams told, fact by fact."""
        self._history = Ranges(self._database, Calendar(zone))

    @classmethod
    async def open(
        cls,
        path: Path | str,
        *,
        origin: Origin,
        clock: Callable[[], float] = time.time,
        synchronous: Synchronous = "FULL",
        busy_timeout_ms: int = 1000,
        timezone: str = "UTC",
        first_run: date | None = None,
        tolerant: bool = False,
    ) -> Store:
        """Open the ledger at `path`, made with mode 0600 when missing and migrated when older.

        StoreError says what is wrong: not ours, newer, of the other origin, in use, unreadable. `busy_timeout_ms` is
        how long a write waits for another process's lock, `timezone` whose midnights part the business days,
        `first_run` the day that a new file says it was begun on: that of the ledger that it takes the place of.
        With `tolerant` a ledger that cannot be written for lack of rights or room is opened all the same: what there is
        is read, appends fail until it can be written, and what failed is then stored under an epoch of its own.
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
        """Names this ledger for ever; sequence numbers are only comparable within one epoch."""
        return self._known.epoch

    @property
    def last_seq(self) -> int:
        """The last sequence number that is taken, by a stored snapshot or a skip; 0 before the first."""
        return self._last_seq

    @property
    def first_run(self) -> date:
        """The UTC day on which this ledger was begun."""
        return self._known.first_run

    async def append(self, record: Record, *, positions: Iterable[Position] = ()) -> None:
        """Commit one snapshot, and with it what changed in the account's positions.

        Durable when it returns. The sequence number must follow the last one stored, or the last one whose append
        failed: what was skipped is noted as a gap. A snapshot whose append failed may be appended again.
        """
        if record.epoch != self.epoch or not self._last_seq < record.seq <= max(self._offered, self._last_seq) + 1:
            raise StoreError(
                f"snapshot {record.epoch}-{record.seq} does not follow {self.epoch}-{self._last_seq} in the ledger"
            )
        self._offered = max(self._offered, record.seq)
        changed = self._markets.changed(positions)

        def work(connection: sqlite3.Connection) -> None:
            if self._condition.failures:
                rollups.forget_from(connection, record.seq, self._calendar)
                snapshots.forget_from(connection, record.seq)
            if record.seq > self._last_seq + 1:
                snapshots.note_gap(connection, self._last_seq + 1, record.seq - 1, self._now())
            snapshots.insert(connection, record)
            rollups.add(connection, record, self._calendar)
            self._markets.write(connection, changed, record.at)

        def stored() -> None:
            self._lost += record.seq - self._last_seq - 1
            self._last_seq = record.seq
            self._latest = record
            self._markets.remember(changed)

        await self._database.write(work, stored)

    def aged_out(self, tickers: Collection[str]) -> tuple[Decimal, Decimal]:
        """Realized profit and fees remembered of markets that are not among `tickers`, the ones the account lists."""
        return self._markets.aged_out(tickers)

    async def latest(self) -> Record | None:
        """The newest stored snapshot, from memory."""
        return self._latest

    async def newest(self, limit: int) -> list[Record]:
        """The newest `limit` snapshots, oldest first."""
        rows = await self._database.read(snapshots.NEWEST, (limit,))
        return self._epochs.records(rows[::-1])

    async def since(self, epoch: str, seq: int, *, limit: int = 1000) -> list[Record] | None:
        """The next snapshots after `(epoch, seq)`, oldest first, `limit` at most: one page of a replay.

        None when they are not exactly known: another epoch, in the future, a gap, or a place that is not held itself
        (no longer, or published while the ledger could not be written).
        """
        last = self._last_seq
        if epoch != self.epoch or not self._epochs.current_start - 1 <= seq <= last:
            return None
        records = self._epochs.records(await self._database.read(snapshots.FROM_SEQ, (seq, limit + 1)))
        if records and records[0].seq == seq:
            del records[0]
        elif not self._is_before_the_first(seq):
            return None
        del records[limit:]
        due = min(last - seq - self._skips.between(seq, last), limit)
        newest = records[-1].seq if records else seq
        whole = len(records) >= due and len(records) == newest - seq - self._skips.between(seq, newest)
        return records if whole else None

    async def holds(self, epoch: str, seq: int, last: int) -> bool:
        """Whether `(epoch, seq)` and every snapshot after it up to `last` is held."""
        if epoch != self.epoch or not self._epochs.current_start - 1 <= seq <= last <= self._last_seq:
            return False
        ((count, held),) = await self._database.read(snapshots.COUNT, (seq, last))
        complete = count == last - seq - self._skips.between(seq, last)
        return complete and (bool(held) or self._is_before_the_first(seq))

    def _is_before_the_first(self, seq: int) -> bool:
        """Whether nobody was ever given this number, and the next one begins the epoch or follows a skip."""
        return seq == self._epochs.current_start - 1 or self._skips.ends_at(seq)

    async def last_complete_before(self, at_ms: int, configured: Collection[str]) -> Record | None:
        """The last snapshot before an instant to which each of these sources contributed.

        It is looked for in the last seven days of what is held before that instant, however old they are.
        """
        names = snapshots.names(configured)
        return await self._one(snapshots.LAST_COMPLETE_BEFORE, names, at_ms, snapshots.COMPLETE_WITHIN_MS)

    async def first_complete(self, from_ms: int, configured: Collection[str]) -> Record | None:
        """The first snapshot at or after an instant to which each of these sources contributed."""
        return await self._one(snapshots.FIRST_COMPLETE, snapshots.names(configured), from_ms)

    async def history(
        self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None
    ) -> list[HistoryRow]:
        """The rows of every interval that touches `start` to `end` (ms, both included), oldest first.

        With a limit the newest of them. BadRequest names the parameter that makes no sense.
        """
        return await self._history.rows(start, end, resolution, limit)

    def export(self, start: int, end: int, resolution: Resolution, /) -> AsyncIterator[Rows]:
        """The same rows in chunks, however many, in flat memory."""
        return self._history.chunks(start, end, resolution)

    async def daily_closes(self, days: int) -> list[DayClose]:
        """The totals at the end of each of the last `days` business days, today's as they stand, oldest first.

        Days before the first snapshot are not there; a day without any repeats the one before.
        """
        return await self._history.closes(days, self._now())

    async def load(self) -> ClosedCosts:
        """The closed days that are remembered, and their costs."""
        days = await self._database.read(remembered.COST_DAYS)
        return remembered.closed_costs(days, await self._database.read(remembered.CLOSED_COSTS))

    async def save(self, day_from: date, day_to: date, rows: Sequence[CostRow]) -> None:
        """Close the days from `day_from` to `day_to`, both included, with exactly these rows, all or nothing."""
        outside = [row.day for row in rows if not day_from <= row.day <= day_to]
        if outside:
            raise StoreError(f"a cost of {outside[0]} cannot close the days from {day_from} to {day_to}")
        await self._database.write(lambda connection: remembered.save_days(connection, day_from, day_to, rows))

    async def prune(self, keep_days: int, *, replay_rows: int = REPLAY_ROWS) -> int:
        """Let go of raw snapshots older than `keep_days` business days, a short batch at a time; how many went.

        The newest `replay_rows` stay however old they are: clients may ask for them again.
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
        """Forget what is known of the account and of deals, snapshots and costs aside.

        For the demo, whose invented account begins anew with every start: what an earlier one held is no part of it.
        """

        if self._provisional:
            self._forget_account = True
            self._markets.forget()
            return
        await self._database.write(_forget_account, self._markets.forget)

    def health(self) -> State:
        """What the last write told about the ledger."""
        return {
            "state": "down" if self._condition.error else "connected",
            "since": self._condition.since,
            "error": self._condition.error,
            "unstored": self._lost + max(0, self._offered - self._last_seq),
            "lost": self._gone,
            "synchronous": self._synchronous,
        }

    async def probe(self) -> None:
        """Find out by a write whether the ledger works, and mend it if that is possible; raises StoreError."""
        probed = ("probed_at", str(self._now()))
        await self._database.write(
            lambda connection: connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", probed)
        )

    async def note_damage(self, finding: str) -> None:
        """Have the next start put this file aside as damaged; nothing where even that cannot be written."""
        with suppress(StoreError):
            await self._database.write(lambda connection: integrity.note(connection, finding))

    async def secret(self) -> bytes:
        """A random secret of this ledger's own, made once: what it seals can be told again after a restart."""

        def work(connection: sqlite3.Connection) -> str:
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secrets.token_hex(32),))
            (held,) = connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
            return str(held)

        if self._provisional:
            self._secret = self._secret or secrets.token_hex(32)
            return bytes.fromhex(self._secret)
        return bytes.fromhex(await self._database.write(work))

    async def close(self) -> None:
        """Finish what is being written, write the log back into the file, let it go.

        When everything that was offered is stored, the file says that the run ended cleanly.
        """
        if self._identity is not None and self._offered <= self._last_seq:
            with suppress(StoreError):
                await self._database.write(numbering.end_run)
        await self._database.close()

    @property
    def _known(self) -> Identity:
        if self._identity is None:
            raise StoreError("the ledger is not open")
        return self._identity

    def _now(self) -> int:
        return int(self._clock() * 1000)

    async def _one(self, sql: str, *parameters: object) -> Record | None:
        rows = await self._database.read(sql, parameters)
        return self._epochs.record(rows[0]) if rows else None

    # On the writer's thread

    def _continued(self) -> Identity | None:
        if self._identity is None:
            begun = self._given_first_run
            return None if begun is None else Identity(new_epoch(), 0, begun)
        return Identity(self._identity.epoch, self._last_seq, self._identity.first_run)

    def _opened(self, connection: sqlite3.Connection, found: Identity) -> None:
        """Take up a file: at the start whatever it holds, later only one that this ledger can go on in."""
        rollups.catch_up(connection, self._calendar, self._progress)
        self._epochs = Epochs(connection.execute("SELECT first_seq, epoch FROM epochs").fetchall())
        if self._identity is None:
            self._identity = found
            with in_full(connection, self._synchronous):
                taken = numbering.begin_run(connection, found.last_seq, self._now())
            self._skips = Skips.load(connection)
            self._last_seq = self._offered = taken
            rows = connection.execute(snapshots.NEWEST, (1,)).fetchall()
            self._latest = self._epochs.record(rows[0]) if rows else None
            self._markets.load(connection)
            return
        if self._provisional:
            self._take_up(connection, found)
            return
        if found.epoch != self.epoch or found.last_seq > self._offered:
            raise StoreError("the database file was replaced by another ledger: restart the server to use that one")
        connection.execute("BEGIN IMMEDIATE")
        numbering.mark_running(connection, self._now())
        self._markets.write_all(connection, self._now())
        gone = self._declare_lost(connection)
        connection.execute("COMMIT")
        self._gone += gone

    def _on_standby(self, connection: sqlite3.Connection, run: Identity) -> None:
        """Go on as `run` with what can be read, until the ledger can be written."""
        self._provisional = True
        self._identity = run
        self._last_seq = self._offered = run.last_seq
        epochs = connection.execute("SELECT first_seq, epoch FROM epochs").fetchall()
        rows = connection.execute(snapshots.NEWEST, (1,)).fetchall()
        self._latest = Epochs(epochs).record(rows[0]) if rows else None
        self._epochs = Epochs([*(row for row in epochs if row[0] <= run.last_seq), (run.last_seq + 1, run.epoch)])
        self._skips = Skips.load(connection)
        held = connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
        self._secret = held[0] if held else None
        self._markets.load(connection)

    def _take_up(self, connection: sqlite3.Connection, found: Identity) -> None:
        """Enter this run's epoch into a ledger that can be written at last."""
        if found.last_seq > self._last_seq:
            raise StoreError("the ledger holds more than could be read at the start: restart the server")
        with in_full(connection, self._synchronous):
            standby.enter(connection, Identity(self.epoch, self._last_seq, self.first_run), self._secret)
            numbering.mark_running(connection, self._now())
            if self._forget_account:
                _forget_account(connection)
        self._epochs = Epochs(connection.execute("SELECT first_seq, epoch FROM epochs").fetchall())
        self._skips = Skips.load(connection)
        self._markets.load(connection)
        self._provisional = False
        logger.info("The ledger can be written: this run is stored as epoch {} from now on", self.epoch)

    def _declare_lost(self, connection: sqlite3.Connection) -> int:
        """Note as a gap what was stored and is not in the file that took the old one's place; how many snapshots."""
        (held,) = connection.execute("SELECT max(coalesce(max(seq), 0), 0) FROM snapshots").fetchone()
        newest = self._latest.seq if self._latest else 0
        if held >= newest:
            return 0
        logger.error("The database file in place ends at {}, not at {}: these snapshots are lost", held, newest)
        snapshots.note_gap(connection, held + 1, newest, self._now())
        return int(newest - held - self._skips.between(held, newest))


def _forget_account(connection: sqlite3.Connection) -> None:
    for table in ("positions", "fills", "settlements", "transfers", "deals"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants
