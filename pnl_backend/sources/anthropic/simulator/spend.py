"""Anthropic usage by hour, and the cost that follows from it through the published price table."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from typing import Any

from pnl_backend.sources.simulated.units import DAY, HOUR, ZERO

# A stream's counters, in this order; code execution is whole micro-dollars since no report counts its seconds.
INPUT, CACHE_5M, CACHE_1H, CACHE_READ, OUTPUT, WEB_SEARCHES, CODE_MICROS, REQUESTS = range(8)
Counters = list[int]
_TOKEN_LINES = (
    (INPUT, "uncached_input_tokens", "input"),
    (CACHE_5M, "cache_creation.ephemeral_5m_input_tokens", "cache_5m"),
    (CACHE_1H, "cache_creation.ephemeral_1h_input_tokens", "cache_1h"),
    (CACHE_READ, "cache_read_input_tokens", "cache_read"),
    (OUTPUT, "output_tokens", "output"),
)
# List prices are a quarter above what is billed, so that reading the wrong one of the two fields shows.
LIST_FACTOR = Decimal("1.25")


@dataclass(frozen=True, slots=True)
class Stream:
    """Who used which model how; no model for what is not billed by token."""

    model: str | None
    workspace_id: str
    api_key_id: str
    service_tier: str = "standard"


@dataclass(frozen=True, slots=True)
class CostLine:
    """One kind of cost of one stream in one bucket, in exact cents."""

    stream: Stream
    cost_type: str
    token_type: str | None
    model: str | None
    cents: Decimal
    requests: int


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(resources.files(__package__).joinpath(name).read_text("utf-8"))
    return content


_PRICES = _read("prices.json")
_BY_MODEL: dict[str, dict[str, Decimal]] = {
    model: {kind: Decimal(text) for kind, text in row.items()}
    for model, row in _PRICES["usd_per_million_tokens"].items()
}
_UNPUBLISHED = frozenset(
    (model, token_type)
    for model, kinds in _PRICES["not_in_the_published_table"].items()
    for _, token_type, kind in _TOKEN_LINES
    if kind in kinds
)
_PUBLISHED_FROM = {
    model: datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
    for model, day in _PRICES["published_from"].items()
}
_BATCH = Decimal(_PRICES["batch_share_of_input_and_output"])
# $10 a thousand is one cent a search.
_SEARCH_CENTS = Decimal(_PRICES["usd_per_thousand_web_searches"]) / 10


def _is_hidden(line: CostLine, day: int) -> bool:
    """Whether an estimate of a day from usage and published prices lacks it."""
    unpublished = (line.model, line.token_type) in _UNPUBLISHED or day < _PUBLISHED_FROM.get(line.model or "", 0)
    return line.cost_type == "code_execution" or unpublished


def models() -> list[str]:
    """Every model that can be used, those without a published price too."""
    return list(_BY_MODEL)


def cost_lines(stream: Stream, counters: Counters) -> list[CostLine]:
    """Price one stream's counters; requests are counted on the input line only, so that they add up."""
    lines: list[CostLine] = []
    if stream.model is not None:
        prices = _BY_MODEL[stream.model]
        for index, token_type, kind in _TOKEN_LINES:
            if counters[index]:
                amount = counters[index] * prices[kind] / 10_000  # USD a million tokens -> cents a token
                if stream.service_tier == "batch" and index in (INPUT, OUTPUT):
                    amount *= _BATCH
                requests = counters[REQUESTS] if index == INPUT else 0
                lines.append(CostLine(stream, "tokens", token_type, stream.model, amount, requests))
    if counters[WEB_SEARCHES]:
        amount = counters[WEB_SEARCHES] * _SEARCH_CENTS
        lines.append(CostLine(stream, "web_search", None, None, amount, 0))
    if counters[CODE_MICROS]:
        amount = Decimal(counters[CODE_MICROS]) / 10_000
        lines.append(CostLine(stream, "code_execution", None, None, amount, 0))
    return lines


def _spread(total: int, part: int, parts: int) -> int:
    """Share number `part` of an integer cut into `parts` shares that add up to it exactly."""
    return total * (part + 1) // parts - total * part // parts


@dataclass
class Spend:
    """Usage of every stream, hour by hour (keys are the hours' starts, UTC seconds)."""

    hours: dict[int, dict[Stream, Counters]] = field(default_factory=dict)
    credits: dict[int, dict[Stream, Decimal]] = field(default_factory=dict)
    """Cents credited to a stream by hour; a cost row that they outweigh is below 0. Usage does not show them."""
    _closed: dict[tuple[int, int], dict[Stream, Counters]] = field(default_factory=dict, repr=False)

    @classmethod
    def shipped(cls, now: float) -> Spend:
        """The usage shipped here, its days counted from `now` (UTC seconds)."""
        spend = cls()
        today = int(now) // DAY * DAY
        for row in _read("usage.json")["usage"]:
            stream = Stream(row["model"], row["workspace_id"], row["api_key_id"], row["service_tier"])
            days = row["newest_last"]
            for index, counters in enumerate(days):
                if any(counters):
                    spend.add_day(today - (len(days) - 1 - index) * DAY, stream, counters, until=now)
        return spend

    def add(self, at: float, stream: Stream, counters: Counters) -> None:
        """Book usage at a time; a day that was summed before is summed again."""
        hour = int(at) // HOUR * HOUR
        held = self.hours.setdefault(hour, {}).setdefault(stream, [0] * 8)
        for index, count in enumerate(counters):
            held[index] += count
        self._closed.pop((hour // DAY * DAY, DAY), None)

    def credit(self, at: float, stream: Stream, cents: Decimal) -> None:
        """Credit a stream with an amount at a time."""
        held = self.credits.setdefault(int(at) // HOUR * HOUR, {})
        held[stream] = held.get(stream, ZERO) + cents

    def credit_lines(self, start: int, width: int) -> list[CostLine]:
        """The credits of one bucket; an hour's credits are in its first minute."""
        return [
            CostLine(stream, "tokens", None, stream.model, -cents, 0)
            for hour in range(-(-start // HOUR) * HOUR, start + width, HOUR)
            for stream, cents in self.credits.get(hour, {}).items()
        ]

    def forget(self, day: int, model: str | None = None) -> None:
        """Take away every row of a day (its start, UTC seconds), or those of one model."""
        for hour in range(day, day + DAY, HOUR):
            for rows in (self.hours.get(hour, {}), self.credits.get(hour, {})):
                for stream in [stream for stream in rows if model is None or stream.model == model]:
                    del rows[stream]
        self._closed.pop((day, DAY), None)

    def add_day(self, day: int, stream: Stream, counters: Counters, *, until: float) -> None:
        """Spread a day's usage over its hours, as far as `until`; the hour in hand gets the elapsed part."""
        for hour in range(24):
            start = day + hour * HOUR
            if start >= until:
                return
            share = [_spread(count, hour, 24) for count in counters]
            if start + HOUR > until:
                elapsed = int(until) - start
                share = [count * elapsed // HOUR for count in share]
            self.add(start, stream, share)

    def bucket(self, start: int, width: int, *, now: float) -> dict[Stream, Counters]:
        """Usage of one bucket of a day, an hour or a minute."""
        if width < HOUR:
            return self._minute(start, now)
        if width == HOUR:
            return self.hours.get(start, {})
        key = (start, width)
        if key not in self._closed:
            total: dict[Stream, Counters] = {}
            for hour in range(start, start + width, HOUR):
                for stream, counters in self.hours.get(hour, {}).items():
                    held = total.setdefault(stream, [0] * 8)
                    for index, count in enumerate(counters):
                        held[index] += count
            self._closed[key] = total
        return self._closed[key]

    def _minute(self, start: int, now: float) -> dict[Stream, Counters]:
        hour = start // HOUR * HOUR
        minutes = 60 if now >= hour + HOUR else max(1, (int(now) - hour) // 60 + 1)
        minute = (start - hour) // 60
        if minute >= minutes:
            return {}
        return {
            stream: [_spread(count, minute, minutes) for count in counters]
            for stream, counters in self.hours.get(hour, {}).items()
        }

    def dollars(self, day: int, *, estimated: bool = False) -> Decimal:
        """USD of one UTC day.

        The estimate leaves out code execution and credits, which the usage report does not show, and tokens whose
        price is in no published table.
        """
        total = ZERO if estimated else sum((line.cents for line in self.credit_lines(day, DAY)), ZERO)
        for stream, counters in self.bucket(day, DAY, now=day + DAY).items():
            for line in cost_lines(stream, counters):
                if not (estimated and _is_hidden(line, day)):
                    total += line.cents
        return total / 100

    def days(self) -> list[int]:
        """Every day that has usage, oldest first."""
        return sorted({hour // DAY * DAY for hour in (*self.hours, *self.credits)})
