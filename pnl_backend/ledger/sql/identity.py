"""Which ledger it is: its epoch, the last number that is taken, the day of its first run, and its origin."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.connection import Connection
from pnl_backend.ledger.sql.numbering import last_taken

Origin = Literal["live", "demo"]

_EPOCH_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Identity:
    """Identifies a ledger; `last_seq` is the last number that is taken, 0 if it is empty."""

    epoch: str
    last_seq: int
    first_run: date


def new_epoch() -> str:
    return "".join(secrets.choice(_EPOCH_ALPHABET) for _ in range(8))


def new_identity(now: float) -> Identity:
    """That of a ledger that is begun at `now` (seconds)."""
    return Identity(new_epoch(), 0, datetime.fromtimestamp(now, UTC).date())


def refuse_other_origin(connection: Connection, origin: Origin, name: str, setting: str) -> None:
    """StoreError if the ledger has the other origin: demo and live figures are never in one ledger.

    A copy that a move has not finished is refused too.
    """
    if connection.execute("SELECT 1 FROM meta WHERE key = 'moving'").fetchone() is not None:
        raise StoreError(unfinished(name))
    (held,) = connection.execute("SELECT value FROM meta WHERE key = 'origin'").fetchone() or (origin,)
    if held != origin:
        raise StoreError(f"{name} holds {held} figures, this server is {origin}: set {setting}")


def unfinished(name: str) -> str:
    """What to say of a copy that a move has not finished."""
    return f"{name} holds an unfinished copy of a ledger: run pnl-backend ledger move again"


def establish(connection: Connection, origin: Origin, fresh: Identity) -> None:
    """Give a ledger without an identity this one; within a transaction."""
    first = [("origin", origin), ("first_run", fresh.first_run.isoformat())]
    connection.executemany("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", first)
    if connection.execute("SELECT count(*) FROM epochs").fetchone() == (0,):
        connection.execute("INSERT INTO epochs VALUES (?, ?)", (fresh.last_seq + 1, fresh.epoch))


def read_identity(connection: Connection) -> Identity:
    """The identity that a ledger has."""
    (first_run,) = connection.execute("SELECT value FROM meta WHERE key = 'first_run'").fetchone()
    first_seq, epoch = connection.execute(NEWEST_EPOCH).fetchone()
    return Identity(epoch, max(first_seq - 1, last_taken(connection)), date.fromisoformat(first_run))


def enter(connection: Connection, run: Identity, secret: str | None) -> None:
    """Store the epoch of a run after the last snapshot of a ledger that can be written now; within a transaction."""
    connection.execute(PUT_EPOCH, (run.last_seq + 1, run.epoch))
    if secret is not None:
        connection.execute("INSERT INTO meta VALUES ('secret', ?) ON CONFLICT DO NOTHING", (secret,))


NEWEST_EPOCH = "SELECT first_seq, epoch FROM epochs ORDER BY first_seq DESC LIMIT 1"
PUT_EPOCH = "INSERT INTO epochs VALUES (?, ?) ON CONFLICT (first_seq) DO UPDATE SET epoch = excluded.epoch"
