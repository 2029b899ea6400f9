"""Anthropic's two cost reports as JSON, read into a row of cost for each day, model and workspace.

Amounts are decimal strings in cents of USD, after discounts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import CostRow
from pnl_backend.errors import InvalidResponse
from pnl_backend.sources.anthropic.api import Params, Row
from pnl_backend.sources.fields import (
    Object,
    decimal,
    member,
    milliseconds,
    moment,
    objects,
    optional_text,
    refuse,
    text,
)

DAY = timedelta(days=1)

ANALYTICS_FIRST_DAY = date(2026, 1, 1)
"""analytics/cost has no costs before this day."""

ANALYTICS_REACH = timedelta(days=363)
"""analytics/cost answers for the last 365 days. One day less, because the limit may be meant to the second, and one
more, because our clock may be behind Anthropic's around midnight."""


class CostKey(NamedTuple):
    """What costs are summed by."""

    day: date
    model: str | None
    workspace_id: str | None
    api_key_id: str | None = None


Costs = Mapping[CostKey, Decimal]


def read_analytics(rows: Iterable[Row], first: date, last: date) -> Costs:
    """Rows of `analytics/cost` for the days `first` to `last`, in buckets of a day or less; each may come once."""
    costs: dict[CostKey, Decimal] = defaultdict(lambda: ZERO)
    seen: set[tuple[int, CostKey]] = set()
    for row, path in rows:
        at = bucket_start(row, path, first, last)
        group, cost = member(row, "group", path), member(row, "cost", path)
        key = CostKey(
            _day(at),
            optional_text(group, "model", f"{path}.group"),
            optional_text(group, "workspace_id", f"{path}.group"),
            optional_text(group, "api_key_id", f"{path}.group"),
        )
        if (at, key) in seen:
            raise InvalidResponse(f"{path}: the same bucket and group come twice")
        seen.add((at, key))
        costs[key] += _amount(cost, f"{path}.cost")
    return costs


def read_cost_report(buckets: Iterable[Row], first: date, last: date) -> Costs:
    """Buckets of the legacy `cost_report` for the days `first` to `last`; each day may come once."""
    costs: dict[CostKey, Decimal] = defaultdict(lambda: ZERO)
    seen: set[date] = set()
    for bucket, path in buckets:
        day = _day(bucket_start(bucket, path, first, last))
        if day in seen:
            raise InvalidResponse(f"{path}.starting_at: the day {day} comes twice")
        seen.add(day)
        for index, row in enumerate(objects(bucket, "results", path)):
            where = f"{path}.results[{index}]"
            key = CostKey(day, optional_text(row, "model", where), optional_text(row, "workspace_id", where))
            costs[key] += _amount(row, where)
    return costs


def cost_rows(costs: Costs) -> tuple[CostRow, ...]:
    """In order of day; what costs nothing has no row."""
    ordered = sorted(costs.items(), key=lambda item: tuple(str(part or "") for part in item[0]))
    return tuple(CostRow(key.day, key.model, key.workspace_id, usd, key.api_key_id) for key, usd in ordered if usd)


def days(first: date, last: date) -> list[date]:
    """Every day from `first` to `last`, both included."""
    return [first + index * DAY for index in range((last - first).days + 1)]


def midnight(day: date) -> datetime:
    """00:00 UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def analytics_reaches(today: date) -> date:
    """The first day that may be requested of analytics/cost."""
    return max(ANALYTICS_FIRST_DAY, today - ANALYTICS_REACH)


def day_range(first: date, last: date) -> Params:
    """The parameters that ask for the days `first` to `last`, both included."""
    ends = ("starting_at", first), ("ending_at", last + DAY)
    return [(name, midnight(day).strftime("%Y-%m-%dT%H:%M:%SZ")) for name, day in ends]


def bucket_start(row: Object, path: str, first: date, last: date) -> int:
    """The bucket's start in ms, which must lie within the requested days."""
    at = moment(row, "starting_at", path)
    if not milliseconds(midnight(first)) <= at < milliseconds(midnight(last + DAY)):
        refuse(path, "starting_at", "lies outside the requested range", row["starting_at"])
    return at


def _day(at: int) -> date:
    return datetime.fromtimestamp(at // 1000, UTC).date()


def _amount(cost: Object, path: str) -> Decimal:
    """Cents to dollars, exactly."""
    currency = text(cost, "currency", path)
    if currency != "USD":
        refuse(path, "currency", "is not USD", currency)
    return decimal(cost, "amount", path).scaleb(-2)
