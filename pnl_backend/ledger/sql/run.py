"""One run of the server on a ledger: its epoch, its sequence numbers, and what it reads from each ledger it opens."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date

from loguru import logger

from pnl_backend.domain.record import Record, Restatement
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql import identity, marking, numbering, snapshots
from pnl_backend.ledger.sql.connection import Connection, transaction
from pnl_backend.ledger.sql.identity import Identity, new_epoch
from pnl_backend.ledger.sql.markets import HeldMarkets, write_markets
from pnl_backend.ledger.sql.numbering import Skips
from pnl_backend.ledger.sql.snapshots import Epochs

Durable = Callable[[Connection], AbstractContextManager[None]]
"""One transaction that survives a power cut, whatever the others do."""


class Run:
    """State of the run; the methods are called on the writer's thread. `now` gives ms.

    `first_run` is the day that a new ledger is dated with. `catch_up` brings an older ledger up to date. With `skips`
    sequence numbers are left out after an unclean stop, because nobody else knows what was published; with `copies`
    a ledger that is opened again may be another copy, which lacks what this run has stored. A run is
    provisional while its ledger could not be written yet: its epoch, its secret and the removal of the account's facts
    are stored when that becomes possible.
    """

    def __init__(
        self,
        *,
        now: Callable[[], int],
        catch_up: Callable[[Connection], None],
        durable: Durable = transaction,
        first_run: date | None,
        skips: bool = True,
        copies: bool = True,
    ) -> None:
        self._now = now
        self._catch_up = catch_up
        self._durable = durable
        self._first_run = first_run
        self._skips = skips
        self._copies = copies
        self.identity: Identity | None = None
        self.provisional = False
        self.left_running: int | None = None
        """Since when (ms) the former run had used the ledger, if it had not ended cleanly."""
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

    def opened(self, connection: Connection, found: Identity) -> None:
        """Use a file: at the start with any content, later only if this run can continue in it."""
        self._catch_up(connection)
        self.epochs = Epochs(connection.execute("SELECT first_seq, epoch FROM epochs").fetchall())
        if self.identity is None:
            self.identity = found
            with self._durable(connection):
                self.left_running = numbering.running_since(connection)
                if self._skips:
                    taken = numbering.begin_run(connection, found.last_seq, self._now())
                else:
                    taken = found.last_seq
                    numbering.mark_running(connection, self._now())
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
            raise StoreError("the database was replaced by another ledger: restart the server to use that one")
        if not self._copies and found.last_seq >= self.last_seq:
            return
        with transaction(connection):
            numbering.mark_running(connection, self._now())
            write_markets(connection, self.markets.everything(), self._now())
            marking.keep(connection, self.restatements)
            gone = self._declare_lost(connection)
        self.gone += gone

    def on_standby(self, connection: Connection | None, run: Identity) -> None:
        """Continue as `run` with what can be read, until the ledger can be written; None if nothing can be read."""
        self.provisional = True
        self.identity = run
        self.last_seq = self.offered = run.last_seq
        if connection is None:
            self.epochs = Epochs([(run.last_seq + 1, run.epoch)])
            return
        epochs = connection.execute("SELECT first_seq, epoch FROM epochs").fetchall()
        rows = connection.execute(snapshots.NEWEST, (1,)).fetchall()
        self.latest = Epochs(epochs).record(rows[0]) if rows else None
        self.epochs = Epochs([*(row for row in epochs if row[0] <= run.last_seq), (run.last_seq + 1, run.epoch)])
        self.skips = Skips.load(connection)
        held = connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
        self.secret = held[0] if held else None
        self.restatements = marking.restatements(connection)
        self.markets.load(connection)

    def _enter_ledger(self, connection: Connection, found: Identity) -> None:
        """Store this run's epoch in a ledger that can be written now."""
        if found.last_seq > self.last_seq:
            raise StoreError("the ledger holds more than could be read at the start: restart the server")
        with self._durable(connection):
            identity.enter(connection, Identity(self.known.epoch, self.last_seq, self.known.first_run), self.secret)
            numbering.mark_running(connection, self._now())
            if self.forget_account:
                forget_account(connection)
        self.epochs = Epochs(connection.execute("SELECT first_seq, epoch FROM epochs").fetchall())
        self.skips = Skips.load(connection)
        self.markets.load(connection)
        self.provisional = False
        logger.info("The ledger can be written: this run is stored as epoch {} from now on", self.known.epoch)

    def _declare_lost(self, connection: Connection) -> int:
        """Note as a gap the stored snapshots that are not in the file that replaced theirs; returns their number."""
        (held,) = connection.execute("SELECT coalesce(max(seq), 0) FROM snapshots WHERE seq > 0").fetchone()
        newest = self.latest.seq if self.latest else 0
        if held >= newest:
            return 0
        logger.error("The ledger in place ends at {}, not at {}: these snapshots are lost", held, newest)
        snapshots.note_gap(connection, held + 1, newest, self._now())
        return int(newest - held - self.skips.between(held, newest))


def forget_account(connection: Connection) -> None:
    """Delete the account's facts, the deals, and whose they are; snapshots and costs stay."""
    facts = ("positions", "imports", "fills", "settlements", "transfers", "transfer_states", "deals")
    for table in (*facts, "walks", "accounts", "unconfirmed"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants


def read_secret(connection: Connection) -> str:
    """The ledger's secret in hex, made where there is none."""
    connection.execute("INSERT INTO meta VALUES ('secret', ?) ON CONFLICT DO NOTHING", (secrets.token_hex(32),))
    (held,) = connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
    return str(held)
