"""A histogram of requests that costs each of them a dictionary look-up, not a lock for each figure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


@dataclass(slots=True)
class _Series:
    """How many values fell into each bucket alone, and their sum."""

    counts: list[int]
    total: float = field(default=0.0)


class RequestTimes(Collector):
    """`bounds` are the buckets' upper ends in seconds, ascending; the last bucket has none.

    To be used in the thread of the event loop only, scrapes included.
    """

    def __init__(self, name: str, description: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._description = description
        self._bounds = tuple(bounds)
        self._texts: list[str] = [floatToGoString(bound) for bound in (*self._bounds, math.inf)]  # type: ignore[no-untyped-call]
        self._series: dict[tuple[str, str, int], _Series] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; its series has the status class, as `2xx`."""
        key = (method, route, status // 100)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series([0] * len(self._texts))
        series.counts[bisect_left(self._bounds, seconds)] += 1
        series.total += seconds

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for (method, route, status_class), series in self._series.items():
            buckets = list(zip(self._texts, accumulate(series.counts), strict=True))
            family.add_metric([method, route, f"{status_class}xx"], buckets, series.total)
        return [family]

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._description, labels=["method", "route", "status"])
