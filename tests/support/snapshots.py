"""Snapshots and guards of the three classic sources, as the server puts them together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pnl_backend.domain.classic import CLASSIC
from pnl_backend.domain.lines import Accounting
from pnl_backend.domain.readings import Reading, Readings, SourceName
from pnl_backend.domain.snapshot import Snapshot, compute
from pnl_backend.ingest.guard import Guard
from pnl_backend.sources.registry import known


def classic_accounting() -> Mapping[SourceName, Accounting[Any, Any]]:
    """How the three that are part of every snapshot are counted, by name."""
    return {name: known(name).accounting for name in CLASSIC}


def taken(*readings: Reading[Any]) -> Readings:
    """The readings of one snapshot."""
    return {reading.source: reading for reading in readings}


def computed(readings: Readings, **more: Any) -> Snapshot:
    return compute(readings, classic_accounting(), **more)


def guarded(source: str, fetcher: Any, cache: Any, **more: Any) -> Guard[Any]:
    """The guard of a registered source, around any fetcher."""
    declared = known(source)
    return Guard(fetcher, cache, source=source, service=declared.breaker, codec=declared.codec, **more)
