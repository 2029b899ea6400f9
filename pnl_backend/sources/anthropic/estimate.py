"""Prices today's usage by a table, for keys that may not read the cost of a day that is still running."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib import resources
from typing import Any

from pnl_backend.domain.money import ZERO
from pnl_backend.errors import InvalidResponse
from pnl_backend.sources.anthropic.api import Row
from pnl_backend.sources.anthropic.costs import CostKey, Costs, bucket_start
from pnl_backend.sources.fields import Object, member, objects, optional_text, whole

_MILLION = Decimal(1_000_000)
_THOUSAND = Decimal(1000)
_MODEL = re.compile(r"claude-(?P<family>[a-z]+)-(?P<major>\d{1,2})(-(?P<minor>\d{1,2}))?(-(\d{8}|latest))?")
_WINDOW = re.compile(r"(?P<low>\d+)k?-(?P<high>\d+)(?P<unit>[kM])", re.ASCII)
_TIERS_PRICED = frozenset({None, "standard", "batch"})

Prices = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """USD per million tokens of the versions `oldest` to `newest` of a family, from the day `since` on.

    A kind of token that `prices` lacks has no published price. Above `long_above` thousand of prompt tokens
    `long_prices` hold, where there are such.
    """

    name: str
    family: str
    oldest: tuple[int, int]
    newest: tuple[int, int]
    since: date
    prices: Prices
    long_above: int | None
    long_prices: Prices


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the usage costs by the table, and what that leaves out."""

    costs: Costs
    notes: tuple[str, ...]


def estimate(buckets: Iterable[Row], day: date) -> Estimate:
    """Price the buckets of `usage_report/messages`, all of them of one UTC day."""
    pricing = _Pricing(day)
    seen: set[int] = set()
    for bucket, path in buckets:
        start = bucket_start(bucket, path, day, day)
        if start in seen:
            raise InvalidResponse(f"{path}.starting_at: the same bucket comes twice")
        seen.add(start)
        for index, row in enumerate(objects(bucket, "results", path)):
            pricing.add(row, f"{path}.results[{index}]")
    return Estimate(pricing.costs, pricing.notes())


class _Pricing:
    """Sums what the usage of one day costs, and the tokens without a price by model."""

    def __init__(self, day: date) -> None:
        self.costs: dict[CostKey, Decimal] = defaultdict(lambda: ZERO)
        self._day = day
        self._unpriced: Counter[tuple[str, str]] = Counter()
        self._assumptions: set[str] = set()

    def add(self, row: Object, path: str) -> None:
        """Price one row, which is at `path`."""
        workspace, api_key = optional_text(row, "workspace_id", path), optional_text(row, "api_key_id", path)
        searches = _count(_part(row, "server_tool_use", path), "web_search_requests", path)
        self.costs[CostKey(self._day, None, workspace, api_key)] += searches * _WEB_SEARCHES / _THOUSAND
        model, tier = optional_text(row, "model", path), optional_text(row, "service_tier", path)
        tokens = _tokens(row, path)
        prices = _prices(model, self._day, optional_text(row, "context_window", path), self._assumptions)
        for kind, count in tokens.items():
            if kind not in prices:
                what = "cached tokens" if prices else "tokens"
                self._unpriced[model or "usage without a model", what] += count
        if prices and tier not in _TIERS_PRICED and any(tokens.values()):
            self._assumptions.add(f"Usage of the service tier {tier!r} is priced as standard.")
        priced = (tokens[kind] * usd * _share(kind, tier) for kind, usd in prices.items())
        self.costs[CostKey(self._day, model, workspace, api_key)] += sum(priced, ZERO) / _MILLION

    def notes(self) -> tuple[str, ...]:
        """What is assumed, and what has no price."""
        lacking = {
            f"{model}: {count} {what} have no price and are not counted."
            for (model, what), count in self._unpriced.items()
            if count
        }
        return tuple(sorted(self._assumptions | lacking))


def _tokens(row: Object, path: str) -> dict[str, int]:
    cached = _part(row, "cache_creation", path)
    inner = f"{path}.cache_creation"
    return {
        "input": _count(row, "uncached_input_tokens", path),
        "cache_5m": _count(cached, "ephemeral_5m_input_tokens", inner),
        "cache_1h": _count(cached, "ephemeral_1h_input_tokens", inner),
        "cache_read": _count(row, "cache_read_input_tokens", path),
        "output": _count(row, "output_tokens", path),
    }


def _part(row: Object, field: str, path: str) -> Object:
    """An inner object; without usage of its kind it may be missing."""
    return {} if row.get(field) is None else member(row, field, path)


def _count(row: Object, field: str, path: str) -> int:
    return whole(row, field, path, least=0) if row else 0


def _share(kind: str, tier: str | None) -> Decimal:
    return _BATCH if tier == "batch" and kind in {"input", "output"} else Decimal(1)


def _prices(model: str | None, day: date, window: str | None, notes: set[str]) -> Prices:
    """The prices of a model on a day by kind of token, empty where the table lacks it.

    Version 5 is 5.0; a date at the end of a model's name is ignored.
    """
    found = _MODEL.fullmatch(model or "")
    if found is None:
        return {}
    version = int(found["major"]), int(found["minor"] or 0)
    for entry in _TABLE:
        if entry.family == found["family"] and entry.oldest <= version <= entry.newest and entry.since <= day:
            return _by_prompt(entry, window, notes)
    return {}


def _by_prompt(entry: ModelPrices, window: str | None, notes: set[str]) -> Prices:
    """The report has the context window, not the prompt's length: where it is ambiguous a note has the assumption."""
    if entry.long_above is None:
        return entry.prices
    found = _WINDOW.fullmatch(window or "")
    if found and int(found["low"]) >= entry.long_above:
        return entry.long_prices
    if not found or found["unit"] == "M" or int(found["high"]) > entry.long_above:
        notes.add(f"{entry.name} is priced as if every prompt had at most {entry.long_above}k tokens.")
    return entry.prices


def _load() -> tuple[tuple[ModelPrices, ...], Decimal, Decimal]:
    file = resources.files(__package__).joinpath("prices.json")
    data = json.loads(file.read_text("utf-8"))
    return tuple(map(_entry, data["models"])), Decimal(data["batch"]), Decimal(data["web_searches"])


def _entry(row: Any) -> ModelPrices:
    long = row.get("long_prompts", {})
    return ModelPrices(
        name=row["name"],
        family=row["family"],
        oldest=(row["from"][0], row["from"][1]),
        newest=(row["to"][0], row["to"][1]),
        since=date.fromisoformat(row.get("since", "2000-01-01")),
        prices={kind: Decimal(usd) for kind, usd in row["prices"].items()},
        long_above=long.get("above_thousands"),
        long_prices={kind: Decimal(usd) for kind, usd in long.get("prices", {}).items()},
    )


_TABLE, _BATCH, _WEB_SEARCHES = _load()
