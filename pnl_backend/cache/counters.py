"""Counts hits, misses and latencies of the cache, by tier and by key family."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pnl_backend.cache.base import family
from pnl_backend.domain.readings import Tier
from pnl_backend.wire.operations import Counts, FamilyStats

Operation = Literal["hit", "miss", "set", "delete", "error"]
OnCall = Callable[[str, Operation, float], None]
"""Called after each call to a tier that took time: the tier, the operation, its duration in seconds."""

WINDOW = 1024
MAX_FAMILIES = 64
MAX_REMEMBERED = 256
"""Keys whose counters are held; those of other keys are looked up for each hit."""


@dataclass(slots=True)
class Counter:
    """Counts since the start, and the last `WINDOW` durations in seconds."""

    hits: int = 0
    misses: int = 0
    sets: int = 0
    deletes: int = 0
    errors: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, operation: Operation) -> None:
        match operation:
            case "hit":
                self.hits += 1
            case "miss":
                self.misses += 1
            case "set":
                self.sets += 1
            case "delete":
                self.deletes += 1
            case "error":
                self.errors += 1

    def counts(self) -> dict[str, Any]:
        """The fields of `operations.Counts`: latencies in ms, 0 before the first call."""
        ordered = sorted(self.seconds)
        return {
            "hits": self.hits,
            "misses": self.misses,
            "sets": self.sets,
            "deletes": self.deletes,
            "errors": self.errors,
            "p50Ms": _percentile(ordered, 0.50),
            "p99Ms": _percentile(ordered, 0.99),
        }


class Counters:
    """`whole` and `families` count the calls to the cache, `tiers` the calls of the cache to its tiers.

    A last known good answer counts as a miss of the whole, because the value had expired.
    """

    def __init__(self, *, on_call: OnCall | None = None) -> None:
        self._on_call = on_call
        self.whole = Counter()
        self.families: defaultdict[str, Counter] = defaultdict(Counter)
        self.tiers: defaultdict[Tier, Counter] = defaultdict(Counter)
        self._tier_families: defaultdict[tuple[str, Tier], Counter] = defaultdict(Counter)
        self._of_hits: dict[tuple[Tier, str], tuple[Counter, ...]] = {}

    def ask(self, key: str, operation: Operation, seconds: float | None = None) -> None:
        """Count one call to the cache as a whole."""
        name = self._family(key)
        for counter in (self.whole, self.families[name]):
            counter.add(operation)
            if seconds is not None:
                counter.seconds.append(seconds)

    def tier(self, tier: Tier, key: str, operation: Operation, seconds: float = 0.0) -> None:
        """Count one call to one tier; a call of 0 seconds was not made and has no latency."""
        name = self._family(key)
        for counter in (
            self.tiers[tier],
            self._tier_families[name, tier],
        ):
            counter.add(operation)
            if seconds:
                counter.seconds.append(seconds)
        if operation == "error":
            self.whole.add("error")
            self.families[name].add("error")
        if self._on_call is not None and seconds:
            self._on_call(tier, operation, seconds)

    def hit_in(self, tier: Tier, key: str, seconds: float) -> None:
        """Count a request that one tier answered without waiting, for the whole and for the tier."""
        counters = self._of_hits.get((tier, key))
        if counters is None:
            name = self._family(key)
            counters = (self.whole, self.families[name], self.tiers[tier], self._tier_families[name, tier])
            if len(self._of_hits) < MAX_REMEMBERED:
                self._of_hits[tier, key] = counters
        for counter in counters:
            counter.hits += 1
            counter.seconds.append(seconds)

    def by_family(self) -> dict[str, FamilyStats]:
        tiers: dict[str, dict[str, Counts]] = {name: {} for name in self.families}
        for (name, tier), held in self._tier_families.items():
            tiers.setdefault(name, {})[tier] = Counts(**held.counts())
        return {name: FamilyStats(**counter.counts(), tiers=tiers[name]) for name, counter in self.families.items()}

    def _family(self, key: str) -> str:
        """The family, or `other` beyond `MAX_FAMILIES`."""
        name = family(key) or "all"
        return name if name in self.families or len(self.families) < MAX_FAMILIES else "other"


def _percentile(ordered: list[float], share: float) -> float:
    """Nearest rank, in milliseconds."""
    if not ordered:
        return 0.0
    return round(ordered[math.ceil(share * len(ordered)) - 1] * 1000, 3)
