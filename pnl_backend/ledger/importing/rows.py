"""Converts rows of an older server: pure functions that return a row of the ledger or raise RowError."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from pnl_backend.domain.times import LAST_NAMED_DAY
from pnl_backend.ledger.sql.imported import ImportedCost, ImportedDeal, ImportedSnapshot, ImportedTrade

Raw = Mapping[str, Any]

MOST_USD = Decimal(10) ** 12
EARLIEST_MS = 946_684_800_000
"""2000-01-01 in ms: a smaller number is probably in seconds."""
ROUNDING_CENTS = 2
"""Cents that three rounded sums can differ at most from their rounded total."""


class RowError(ValueError):
    """A row that cannot be taken; the message is the same for all rows with the same fault."""


def snapshot_of(row: object) -> ImportedSnapshot:
    """A row of `pnl_snapshots`, or of `/api/pnl/history` in any of its older shapes."""
    if not isinstance(row, Mapping):
        raise RowError("no object")
    if row.get("simulated") is True:
        raise RowError("of a demo, whose figures are invented")
    at = _ms(_first(row, "timestamp", "calculatedAt"))
    kalshi, costs, revenue, net = _whole_snapshot(row) if "components" in row and "totalExpenses" in row else _sums(row)
    if abs(net - (kalshi + revenue - costs)) > ROUNDING_CENTS:
        raise RowError("net P&L is not Kalshi plus revenue less costs")
    trades = row.get("trade_count")
    return ImportedSnapshot(
        at, kalshi + revenue - costs, kalshi, costs, revenue, trades if type(trades) is int and trades >= 0 else None
    )


def trade_of(row: Raw) -> ImportedTrade:
    """A row of `kalshi_trades`."""
    return ImportedTrade(
        id=_id(row),
        symbol=_text(row, "symbol") or _missing("symbol"),
        side=_text(row, "side"),
        quantity=_decimal_text(row, "quantity"),
        entry_price=_decimal_text(row, "entry_price"),
        current_price=_decimal_text(row, "current_price"),
        status=_text(row, "status"),
        realized=_decimal_text(row, "realized_pnl"),
        at=_maybe_ms(row),
        created_at=_text(row, "created_at"),
    )


def cost_of(row: Raw) -> ImportedCost:
    """A row of `anthropic_costs`."""
    month = _text(row, "month") or _missing("month")
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise RowError("month is not YYYY-MM")
    tokens = row.get("tokens_used")
    return ImportedCost(
        id=_id(row),
        month=month,
        amount=_decimal_text(row, "total_cost") or _missing("total_cost"),
        tokens=tokens if type(tokens) is int else None,
        at=_maybe_ms(row),
        created_at=_text(row, "created_at"),
    )


def deal_of(row: Raw) -> ImportedDeal:
    """A row of `john_revenue`."""
    return ImportedDeal(
        id=_id(row),
        name=_text(row, "deal_name"),
        closed_date=_text(row, "closed_date"),
        amount=_decimal_text(row, "revenue") or _missing("revenue"),
        status=_text(row, "status"),
        at=_maybe_ms(row),
        created_at=_text(row, "created_at"),
    )


def _whole_snapshot(row: Raw) -> tuple[int, int, int, int]:
    """A snapshot with components: its revenue has Kalshi's P&L in it, the ledger's has not."""
    components = row["components"]
    kalshi = components.get("kalshi") if isinstance(components, Mapping) else None
    if not isinstance(kalshi, Mapping):
        raise RowError("no components.kalshi")
    pnl = _cents(kalshi, "pnl")
    return pnl, _cents(row, "totalExpenses"), _cents(row, "totalRevenue") - pnl, _cents(row, "netPnL")


def _sums(row: Raw) -> tuple[int, int, int, int]:
    """A row with the four sums, each under one of its former names."""
    return (
        _cents(row, "kalshi_pnl", "kalshiPnL", "kalshiP&L"),
        _cents(row, "total_costs", "totalCosts", "costs"),
        _cents(row, "total_revenue", "totalRevenue", "revenue"),
        _cents(row, "net_pnl", "netPnL", "netP&L"),
    )


def _first(row: Raw, *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _missing(name: str) -> str:
    raise RowError(f"no {name}")


def _decimal(value: object, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise RowError(f"{name} is no number")
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise RowError(f"{name} is no number") from None
    if not number.is_finite() or abs(number) >= MOST_USD:
        raise RowError(f"{name} is no number")
    return number


def _cents(row: Raw, *names: str) -> int:
    """USD under the first of these names that the row has, as whole cents, rounded half up."""
    name = next((name for name in names if name in row), None)
    if name is None:
        raise RowError(f"no {names[0]}")
    return int((_decimal(row[name], name) * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _decimal_text(row: Raw, name: str) -> str | None:
    value = row.get(name)
    if value is None:
        return None
    number = _decimal(value, name)
    return format(number.normalize(), "f") if number else "0"


def _id(row: Raw) -> str:
    value = row.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise RowError("no id")
    return str(value)


def _text(row: Raw, name: str) -> str | None:
    value = row.get(name)
    return None if value is None else str(value)


def _maybe_ms(row: Raw) -> int | None:
    return None if row.get("timestamp") is None else _ms(row["timestamp"])


def _ms(value: object) -> int:
    """Ms since the epoch, from such a number or from ISO 8601 (UTC where it names no zone)."""
    if isinstance(value, str):
        try:
            given = datetime.fromisoformat(value)
            value = round((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, OverflowError):
            raise RowError("timestamp is not a time") from None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or value != value:  # noqa: PLR0124 - NaN
        raise RowError("timestamp is not a time")
    if not EARLIEST_MS <= value <= LAST_NAMED_DAY:
        raise RowError("timestamp is not in ms since the epoch")
    return int(value)
