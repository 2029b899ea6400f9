"""Costs of closed days, which their upstream no longer gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from pnl_backend.domain.corrections import cost_corrections
from pnl_backend.domain.readings import ClosedCosts, Confirmed, CostRow
from pnl_backend.ledger.sql import corrections
from pnl_backend.ledger.sql.connection import Connection

COST_DAYS = "SELECT day, confirmed_at, report FROM cost_days ORDER BY day"
COSTS = "SELECT day, model, workspace_id, amount, api_key_id FROM costs ORDER BY day, rowid"
COSTS_BETWEEN = COSTS.replace(" ORDER", " WHERE day BETWEEN ? AND ? ORDER")
CLOSED_COSTS = COSTS.replace(" ORDER", " WHERE day IN (SELECT day FROM cost_days) ORDER")


def cost_rows(rows: Iterable[Sequence[Any]]) -> tuple[CostRow, ...]:
    """Rows of `COSTS` or `CLOSED_COSTS`."""
    return tuple(
        CostRow(date.fromisoformat(day), model, workspace_id, Decimal(amount), api_key_id)
        for day, model, workspace_id, amount, api_key_id in rows
    )


def closed_costs(days: Iterable[Sequence[Any]], costs: Iterable[Sequence[Any]]) -> ClosedCosts:
    """The rows of `COST_DAYS` and `CLOSED_COSTS` as ClosedCosts."""
    confirmed = {date.fromisoformat(day): at and Confirmed(at, report or "") for day, at, report in days}
    return ClosedCosts(
        frozenset(confirmed), cost_rows(costs), {day: one for day, one in confirmed.items() if one is not None}
    )


def save_days(
    connection: Connection,
    day_from: date,
    day_to: date,
    rows: Sequence[CostRow],
    *,
    confirmed: Confirmed | None,
    now: int,
) -> None:
    """Close the days from `day_from` to `day_to`, both included, with exactly these rows.

    What differs in days that were closed before is noted as a correction at `now` (ms); of the others what is gone.
    """
    days = [day_from + timedelta(days=n) for n in range((day_to - day_from).days + 1)]
    closed = closed_days(connection)
    held = costs_between(connection, day_from, day_to)
    for was_closed in (True, False):
        before, after = ([row for row in some if (row.day in closed) is was_closed] for some in (held, rows))
        corrections.note(connection, cost_corrections(before, after, now, removed_only=not was_closed))
    replace_costs(connection, days, rows)
    at, report = (confirmed.at, confirmed.report) if confirmed else (None, None)
    connection.executemany(
        "INSERT INTO cost_days (day, confirmed_at, report) VALUES (?, ?, ?) ON CONFLICT (day) DO UPDATE"
        " SET confirmed_at = excluded.confirmed_at, report = excluded.report",
        [(day.isoformat(), at, report) for day in days],
    )


def closed_days(connection: Connection) -> set[date]:
    """The days that are closed."""
    return {date.fromisoformat(day) for day, _at, _report in connection.execute(COST_DAYS)}


def costs_between(connection: Connection, day_from: date, day_to: date) -> tuple[CostRow, ...]:
    """The rows of the days from `day_from` to `day_to`, both included."""
    return cost_rows(connection.execute(COSTS_BETWEEN, (day_from.isoformat(), day_to.isoformat())))


def replace_costs(connection: Connection, days: Iterable[date], rows: Iterable[CostRow]) -> None:
    """Replace all rows of these days by `rows`."""
    connection.executemany("DELETE FROM costs WHERE day = ?", [(day.isoformat(),) for day in days])
    connection.executemany(
        "INSERT INTO costs (day, model, workspace_id, amount, api_key_id) VALUES (?, ?, ?, ?, ?)",
        [(r.day.isoformat(), r.model, r.workspace_id, str(r.amount), r.api_key_id) for r in rows],
    )
