"""One run of the server on a ledger: its epoch, its sequence numbers, and what it reads from each file it opens."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from datetime import date

from loguru import logger

from pnl_backend.domain.record import Record, Restatement
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import catching_up, marking, numbering, snapshots, standby
from pnl_backend.ledger.sqlite.ledger_file import Identity, Synchronous, in_full, new_epoch
from pnl_backend.ledger.sqlite.markets import HeldMarkets, write_markets
from pnl_backend.ledger.sqlite.migrations import Progress
from pnl_backend.ledger.sqlite.numbering import Skips
from pnl_backend.ledger.sqlite.rollups import Calendar
from pnl_backend.ledger.sqlite.snapshots import Epochs


class Run:
    """State of the run; the methods are called on the writer's thread. `now` gives ms.

    `first_run` is the day that a new file is dated with. A run is provisional while its ledger could not be written
    yet: its epoch, its secret and the removal of the account's facts are stored when that becomes possible.
    """

    def __init__(
        self,
        *,
        now: Callable[[], int],
        calendar: Calendar,
        progress: Progress,
        synchronous: Synchronous,
        first_run: date | None,
    ) -> None:
        self._now = now
        self._calendar = calendar
        self._progress = progress
        self._synchronous: Synchronous = synchronous
        self._first_run = first_run
        self.identity: Identity | None = None
        self.provisional = False
        self.forget_account = False
        self.secret: str | None = None
        self.markets = HeldMarkets()
        self.epochs = Epochs([])
        self.skips = Skips()
        self.latest: Record | None = None
        self.last_seq = 0
        """The last number that is taken, by a stored snapshot or a skip."""
        self.offered = 0
        """The last number that was to be stored."""
        self.lost = 0
        """Numbers that were left out because their append failed."""
        self.restatements: tuple[Restatement, ...] = ()
        self.gone = 0
        """Stored snapshots that are not in the file that replaced theirs."""

    @property
    def known(self) -> Identity:
        if self.identity is None:
            raise StoreError("the ledger is not open")
        return self.identity

    @property
    def restated_to(self) -> int:
        """The last number that is marked as restated; 0 if none is."""
        return max((each.to_seq for each in self.restatements), default=0)

    def continued(self) -> Identity | None:
        if self.identity is None:
            begun = self._first_run
            return None if begun is None else Identity(new_epoch(), 0, begun)
        return Identity(self.identity.epoch, self.last_seq, self.identity.first_run)

    def opened(self, connection: sqlite3.Connection, found: Identity) -> None:
        """Use a file: at the start with any content, later only if this run can continue in it."""
        catching_up.catch_up(connection, self._calendar, self._progress)
        self.epochs = Epochs(connection.execute("SELECT first_seq, epoch FROM epochs").fetchall())
        if self.identity is None:
            self.identity = found
            with in_full(connection, self._synchronous):
                taken = numbering.begin_run(connection, found.last_seq, self._now())
            self.skips = Skips.load(connection)
            self.last_seq = self.offered = taken
            rows = connection.execute(snapshots.NEWEST, (1,)).fetchall()
            self.latest = self.epochs.record(rows[0]) if rows else None
            self.restatements = marking.restatements(connection)
            self.markets.load(connection)
            return
        if self.provisional:
            self._enter_ledger(connection, found)
            return
        if found.epoch != self.known.epoch or found.last_seq > self.offered:
            raise StoreError("the database file was replaced by another ledger: restart the server to use that one")
        connection.execute("BEGIN IMMEDIATE")
        numbering.mark_running(connection, self._now())
        write_markets(connection, self.markets.everything(), self._now())
        marking.keep(connection, self.restatements)
        gone = self._declare_lost(connection)
        connection.execute("COMMIT")
        self.gone += gone

    def on_standby(self, connection: sqlite3.Connection, run: Identity) -> None:
        """Continue as `run` with what can be read, until the ledger can be written."""
        self.provisional = True
        self.identity = run
        self.last_seq = self.offered = run.last_seq
        epochs = connection.execute("SELECT first_seq, epoch FROM epochs").fetchall()
        rows = connection.execute(snapshots.NEWEST, (1,)).fetchall()
        self.latest = Epochs(epochs).record(rows[0]) if rows else None
        self.epochs = Epochs([*(row for row in epochs if row[0] <= run.last_seq), (run.last_seq + 1, run.epoch)])
        self.skips = Skips.load(connection)
        held = connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
        self.secret = held[0] if held else None
        self.restatements = marking.restatements(connection)
        self.markets.load(connection)

    def _enter_ledger(self, connection: sqlite3.Connection, found: Identity) -> None:
        """Store this run's epoch in a ledger that can be written now."""
        if found.last_seq > self.last_seq:
            raise StoreError("the ledger holds more than could be read at the start: restart the server")
        with in_full(connection, self._synchronous):
            standby.enter(connection, Identity(self.known.epoch, self.last_seq, self.known.first_run), self.secret)
            numbering.mark_running(connection, self._now())
            if self.forget_account:
                forget_account(connection)
        self.epochs = Epochs(connection.execute("SELECT first_seq, epoch FROM epochs").fetchall())
        self.skips = Skips.load(connection)
        self.markets.load(connection)
        self.provisional = False
        logger.info("The ledger can be written: this run is stored as epoch {} from now on", self.known.epoch)

    def _declare_lost(self, connection: sqlite3.Connection) -> int:
        """Note as a gap the stored snapshots that are not in the file that replaced theirs; returns their number."""
        (held,) = connection.execute("SELECT max(coalesce(max(seq), 0), 0) FROM snapshots").fetchone()
        newest = self.latest.seq if self.latest else 0
        if held >= newest:
            return 0
        logger.error("The database file in place ends at {}, not at {}: these snapshots are lost", held, newest)
        snapshots.note_gap(connection, held + 1, newest, self._now())
        return int(newest - held - self.skips.between(held, newest))


def forget_account(connection: sqlite3.Connection) -> None:
    """Delete the account's facts, the deals, and whose they are; snapshots and costs stay."""
    facts = ("positions", "imports", "fills", "settlements", "transfers", "transfer_states", "deals")
    for table in (*facts, "walks", "accounts", "unconfirmed"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants


def read_secret(connection: sqlite3.Connection) -> str:
    """The ledger's secret in hex, made where there is none."""
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secrets.token_hex(32),))
    (held,) = connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
    return str(held)
