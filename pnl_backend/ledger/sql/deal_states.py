"""The table of deals: a row whenever a deal looked different than before, or had gone, or came back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from pnl_backend.domain.corrections import Correction
from pnl_backend.domain.money import exact
from pnl_backend.domain.readings import Deal
from pnl_backend.ledger.sql import corrections
from pnl_backend.ledger.sql.connection import Connection, Row

GONE = "gone"
"""The status of a deal that its source no longer lists; its other fields are as they last were."""

_LATEST = (
    "SELECT id, name, amount, status, closed_at, seen_at FROM deals AS d"
    " WHERE seen_at = (SELECT max(l.seen_at) FROM deals AS l WHERE l.id = d.id) ORDER BY id"
)
PRESENT = f"SELECT * FROM ({_LATEST}) AS latest WHERE status <> '{GONE}' ORDER BY id"  # noqa: S608 - constants only


def deal(row: Row) -> Deal:
    """A row of `PRESENT`."""
    identity, name, amount, status, closed_at, _seen_at = row
    return Deal(identity, name, Decimal(amount), status, closed_at)


def store(connection: Connection, given: Sequence[Deal], seen_at: int, *, complete: bool) -> list[Deal]:
    """Store the states at `seen_at` (ms); returns the deals that are new, have changed or, if `complete`, are gone.

    A state is never dated before the one that it follows, even if the clock was set back.
    """
    latest = {row[0]: row for row in connection.execute(_LATEST)}
    known = {identity: deal(row) for identity, row in latest.items() if row[3] != GONE}
    changed = [one for one in given if known.get(one.id) != one]
    listed = {one.id for one in given}
    gone = [one for one in known.values() if one.id not in listed] if complete else []

    def insert(deals: Iterable[Deal], status: str | None = None) -> None:
        rows = [
            (d.id, _after(latest.get(d.id), seen_at), d.name, exact(d.amount), status or d.status, d.closed_at)
            for d in deals
        ]
        connection.executemany("INSERT INTO deals VALUES (?, ?, ?, ?, ?, ?)", rows)

    insert(changed)
    insert(gone, GONE)
    corrections.note(connection, [Correction("deal", one.id, one.amount, None, seen_at) for one in gone])
    return changed + gone


def _after(latest: Row | None, seen_at: int) -> int:
    return seen_at if latest is None else max(seen_at, latest[5] + 1)
