"""The writing ledger in a PostgreSQL database."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend.errors import StoreError
from pnl_backend.ledger.postgres import head, partitions
from pnl_backend.ledger.postgres.database import Database
from pnl_backend.ledger.sql import business_days, numbering, retention
from pnl_backend.ledger.sql.condition import Condition
from pnl_backend.ledger.sql.connection import Connection
from pnl_backend.ledger.sql.identity import PUT_EPOCH, Origin, new_epoch
from pnl_backend.ledger.sql.numbering import Skips
from pnl_backend.ledger.sql.progress import ProgressLog
from pnl_backend.ledger.sql.rollups import Calendar
from pnl_backend.ledger.sql.run import Run
from pnl_backend.ledger.sql.snapshots import Epochs
from pnl_backend.ledger.sql.store import LedgerStore


class Store(LedgerStore):
    """The ledger. Opened with `Store.open`, closed with `close`; it connects again by itself.

    After `append` a snapshot survives the end of this process, of PostgreSQL, and a power cut.
    """

    _database: Database

    def __init__(
        self,
        url: str,
        *,
        origin: Origin,
        clock: Callable[[], float],
        zone: ZoneInfo,
        first_run: date | None,
        fence: int | None,
    ) -> None:
        progress = ProgressLog()
        calendar = Calendar(zone)
        run = Run(
            now=lambda: int(clock() * 1000),
            catch_up=lambda connection: business_days.follow_zone(connection, calendar, progress),
            first_run=first_run,
            skips=fence is None,
            copies=False,
        )
        condition = Condition(lambda: int(clock() * 1000))
        database = Database(
            url,
            origin=origin,
            fence=fence,
            clock=clock,
            progress=progress,
            continued=run.continued,
            opened=run.opened,
            on_write=condition.on_write,
            on_standby=run.on_standby,
        )
        super().__init__(database, run, condition, clock=clock, calendar=calendar, synchronous="FULL")

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        origin: Origin,
        clock: Callable[[], float] = time.time,
        timezone: str = "UTC",
        first_run: date | None = None,
        tolerant: bool = False,
        fence: int | None = None,
    ) -> Store:
        """Open the ledger at `url`, created if the database is empty and migrated if it is older.

        StoreError says what is wrong: not reachable, refused, not ours, newer, of the other origin, in use. With
        `tolerant` a database that cannot be reached or written now is opened too: it is read if possible, and appends
        fail until it can be written.

        With a `fence` several nodes may have the ledger open, and the newest writes: Fenced if there is an equal or a
        newer one. Sequence numbers are not skipped after an unclean stop then: the stream knows what was published.
        """
        store = cls(url, origin=origin, clock=clock, zone=ZoneInfo(timezone), first_run=first_run, fence=fence)
        await store._database.open(tolerant=tolerant)
        logger.info(
            "Ledger {} open, epoch {}, last snapshot {}, fence {}",
            store._database.name, store.epoch, store.last_seq, "none" if fence is None else fence,
        )  # fmt: skip
        return store

    @property
    def fence(self) -> int | None:
        """What this writer claimed the ledger with."""
        return self._database.fence

    async def begin_epoch(self, after: int) -> str:
        """Begin an epoch after the number `after`, because clients have seen what this ledger lost; returns its name.

        `after` must not lie before the last number that is taken.
        """
        if after < self._run.last_seq:
            raise StoreError(f"an epoch cannot begin after {after}: {self._run.last_seq} is taken")
        begun = after + 1, new_epoch()

        def work(connection: Connection) -> list[tuple[int, str]]:
            connection.execute(PUT_EPOCH, begun)
            self._note_stored(connection, after)
            return connection.execute("SELECT first_seq, epoch FROM epochs").fetchall()

        rows = await self._database.write(work)
        self._run.identity = replace(self._run.known, epoch=begun[1])
        self._run.epochs = Epochs(rows)
        self._run.last_seq = self._run.offered = after
        return begun[1]

    async def skip_unpublished(self) -> None:
        """Skip what the former run may have published without storing it, as a start without a fence does.

        For a takeover at which the stream is empty. Nothing happens if that run ended cleanly or stored nothing.
        """
        run, since = self._run, self._run.left_running
        if since is None or not run.last_seq:
            return

        def work(connection: Connection) -> tuple[int, Skips]:
            last = numbering.skip_unpublished(connection, run.last_seq, since, self._now())
            self._note_stored(connection, last)
            return last, Skips.load(connection)

        run.last_seq, run.skips = await self._database.write(work)
        run.offered, run.left_running = run.last_seq, None

    async def prune(self, keep_days: int, *, replay_rows: int = retention.REPLAY_ROWS) -> int:
        """Delete raw snapshots older than `keep_days` business days; whole months at once, the others in batches."""
        now = self._now()
        oldest = retention.oldest_kept(self._calendar, keep_days, now)
        await self._database.maintain(lambda connection: partitions.create_ahead(connection, now))
        gone = await self._database.maintain(lambda connection: partitions.drop_old(connection, oldest, replay_rows))
        return gone + await super().prune(keep_days, replay_rows=replay_rows)

    async def backup(self, directory: Path, *, keep_days: int) -> Path:
        raise StoreError(f"{self._database.name} is a PostgreSQL database: its backups are its own")

    def _note_stored(self, connection: Connection, seq: int) -> None:
        fence = self._database.fence
        if fence is None:
            connection.execute("UPDATE head SET seq = ?", (seq,))
        elif not connection.execute(head.SET_SEQ, (fence, seq, fence)).rowcount:
            raise head.fenced(fence)
