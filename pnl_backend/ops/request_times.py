"""Durations of requests in buckets, counted without locks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(slots=True)
class _Series:
    counts: list[int]
    """The number of requests in each bucket."""
    total: float = 0.0
    """Seconds of all requests together."""


class RequestTimes:
    """`bounds` are the upper ends of the buckets in seconds, ascending; one more bucket holds longer requests.

    To be used in the thread of the event loop only, scrapes included.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._series: dict[tuple[str, str, int], _Series] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request under its method, route and status class."""
        key = (method, route, status // 100)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series([0] * (len(self.bounds) + 1))
        series.counts[bisect_left(self.bounds, seconds)] += 1
        series.total += seconds

    def series(self) -> Iterator[tuple[list[str], list[int], float]]:
        """Method, route and class (`2xx`); how many took as long as each bound or less, and all; their seconds."""
        for (method, route, status_class), series in self._series.items():
            yield [method, route, f"{status_class}xx"], list(accumulate(series.counts)), series.total
