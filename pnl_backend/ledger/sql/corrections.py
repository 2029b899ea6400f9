"""The table of corrections: what an upstream changed in a fact or took away, never deleted."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from pnl_backend.domain.corrections import Correction
from pnl_backend.domain.money import exact
from pnl_backend.ledger.sql.connection import Connection, Row

ALL = "SELECT kind, ref, before, after, at FROM corrections ORDER BY at, rowid"


def note(connection: Connection, corrections: Iterable[Correction]) -> None:
    """Write corrections."""
    connection.executemany(
        "INSERT INTO corrections (kind, ref, before, after, at) VALUES (?, ?, ?, ?, ?)",
        [(c.kind, c.ref, _text(c.before), _text(c.after), c.at) for c in corrections],
    )


def correction(row: Row) -> Correction:
    """A row of `ALL`."""
    kind, ref, before, after, at = row
    return Correction(kind, ref, _usd(before), _usd(after), at)


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else exact(usd)


def _usd(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
