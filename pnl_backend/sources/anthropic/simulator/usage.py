"""How the simulated spend changes: one request of a model at each step; and commands that book and revise usage."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal

from pnl_backend.sources.simulated.units import DAY, HOUR, ZERO

from .spend import Counters, Spend, Stream, models

# One step's request by model: input, 5m and 1h cache writes, cache reads, output; the weight is how often.
_REQUESTS: dict[str, tuple[int, Counters]] = {
    "claude-haiku-5-5": (60, [900, 0, 0, 6000, 180]),
    "claude-sonnet-5-5": (30, [800, 120, 0, 6000, 170]),
    "claude-opus-5-5": (10, [700, 100, 40, 5200, 160]),
}
_API_KEY = "apikey_01Cliff"


class Usage:
    """The usage of the first organisation; it changes in steps only."""

    def __init__(self, spend: Spend, *, rng: random.Random, clock: Callable[[], float]) -> None:
        self.spend = spend
        self._clock = clock
        self._rng = rng
        self._since = int(clock()) // DAY * DAY
        self._streams = self._weighted_streams()

    def step(self) -> None:
        rng = self._rng
        stream, counters, _ = rng.choices(self._streams, [weight for *_, weight in self._streams])[0]
        factor = rng.uniform(0.6, 1.4)
        used = [int(count * factor) for count in counters]
        search = 1 if rng.random() < 0.004 else 0
        self.spend.add(self._clock(), stream, [*used, search, 0, 1])

    def result(self) -> Decimal:
        """USD below 0: what was spent since the day of the start."""
        return -sum((self.spend.dollars(day) for day in self.spend.days() if day >= self._since), ZERO)

    def use_model(self, model: str, *, input_tokens: int, output_tokens: int, days_ago: int, workspace_id: str) -> None:
        """Book usage of a model at this time of an earlier day, or of today; below 0 takes back what was booked.

        ValueError for a model that there is not, and for more taken back than was booked in that hour.
        """
        if model not in models():
            raise ValueError(f"no such model: {model}; there are {', '.join(models())}")
        counters = [input_tokens, 0, 0, 0, output_tokens, 0, 0, 1 if input_tokens >= 0 and output_tokens >= 0 else 0]
        at, stream = self._clock() - days_ago * DAY, Stream(model, workspace_id, _API_KEY)
        held = self.spend.hours.get(int(at) // HOUR * HOUR, {}).get(stream, [0] * len(counters))
        if any(count + more < 0 for count, more in zip(held, counters, strict=True)):
            raise ValueError("less than that was booked in that hour")
        self.spend.add(at, stream, counters)

    def forget_usage(self, *, days_ago: int, model: str | None = None) -> None:
        """Take away an earlier day's cost rows, or those of one model."""
        self.spend.forget((int(self._clock()) // DAY - days_ago) * DAY, model)

    def credit_usage(self, amount: Decimal, *, model: str | None, days_ago: int, workspace_id: str) -> None:
        """Credit USD at this time of an earlier day, or of today; without a model it is the organisation's."""
        at = self._clock() - days_ago * DAY
        self.spend.credit(at, Stream(model, workspace_id, _API_KEY), amount * 100)

    def _weighted_streams(self) -> list[tuple[Stream, Counters, int]]:
        known = {stream for hour in self.spend.hours.values() for stream in hour}
        picked = []
        for stream in sorted(known, key=repr):
            if stream.model in _REQUESTS and stream.service_tier == "standard":
                weight, counters = _REQUESTS[stream.model]
                picked.append((stream, counters, weight))
        if not picked:
            for model, (weight, counters) in _REQUESTS.items():
                picked.append((Stream(model, "wrkspc_01Default", _API_KEY), counters, weight))
        return picked
