"""The tables of deposits and withdrawals: the last state of each, and the states that it had before."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from pnl_backend.domain.corrections import Correction
from pnl_backend.domain.ledger_facts import Transfer
from pnl_backend.domain.money import exact
from pnl_backend.ledger.sql import corrections, unconfirmed
from pnl_backend.ledger.sql.connection import Connection, Row

ALL = "SELECT * FROM transfers ORDER BY coalesce(created_at, finalized_at), key"
STATES = (
    "SELECT s.key, t.kind, t.id, s.amount, s.fee, s.status, t.created_at, s.finalized_at FROM transfer_states AS s"
    " JOIN transfers AS t ON t.key = s.key WHERE s.key = ? ORDER BY s.until, s.rowid"
)
_COLUMNS = "key, kind, id, amount, fee, status, created_at, finalized_at"
_KNOWN = f"SELECT {_COLUMNS} FROM transfers WHERE key = ?"  # noqa: S608 - constants
_PUT = (
    f"INSERT INTO transfers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"  # noqa: S608 - constants
    " kind = excluded.kind, id = excluded.id, amount = excluded.amount, fee = excluded.fee,"
    " status = excluded.status, created_at = excluded.created_at, finalized_at = excluded.finalized_at"
)
_KEEP = "INSERT INTO transfer_states (key, until, status, amount, fee, finalized_at) VALUES (?, ?, ?, ?, ?, ?)"

_ORDER = {"pending": 0, "applied": 1, "returned": 2, "failed": 2}


def store(connection: Connection, given: Iterable[Transfer], noted_at: int) -> list[Transfer]:
    """Store the states at `noted_at` (ms); returns the transfers that are new or have changed.

    A transfer goes from pending to applied or failed, and may be returned later; an earlier state that arrives late
    changes nothing. The state that a change replaces is kept; a change of what had moved money is a correction.
    """
    changed: list[Transfer] = []
    listed = list(given)
    unconfirmed.confirm_transfers(connection, [transfer.key for transfer in listed])
    for new in listed:
        row = connection.execute(_KNOWN, (new.key,)).fetchone()
        old = None if row is None else transfer(row)
        if old is not None:
            if not _follows(old, new):
                continue
            keep = (old.key, noted_at, old.status, exact(old.amount), exact(old.fee), old.finalized_at)
            connection.execute(_KEEP, keep)
            if old.is_applied and old.moved != new.moved:
                corrected = Correction("transfer", old.key, old.moved, new.moved, noted_at)
                corrections.note(connection, [corrected])
        connection.execute(_PUT, _row(new))
        changed.append(new)
    return changed


def transfer(row: Row) -> Transfer:
    """A row of `ALL` or `STATES`."""
    _key, kind, identity, amount, fee, status, created_at, finalized_at = row
    return Transfer(kind, identity, Decimal(amount), Decimal(fee), status, created_at, finalized_at)


def _follows(old: Transfer, new: Transfer) -> bool:
    """Whether a state is another than the known one, and not an earlier one; `created_at` alone is no other state."""
    if _rank(new) != _rank(old):
        return _rank(new) > _rank(old)
    return (old.status, old.amount, old.fee, old.finalized_at) != (new.status, new.amount, new.fee, new.finalized_at)


def _rank(transfer: Transfer) -> int:
    return _ORDER.get(transfer.status, 0 if transfer.finalized_at is None else 1)


def _row(t: Transfer) -> Row:
    return t.key, t.kind, t.id, exact(t.amount), exact(t.fee), t.status, t.created_at, t.finalized_at
