"""A snapshot as it is some time after it was computed: the figures stay, its sources have grown older."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pnl_backend.domain.readings import Tier
from pnl_backend.domain.snapshot import Snapshot, SourceState


@dataclass(frozen=True, slots=True)
class NotLive:
    """Why nothing in a snapshot is live any more, and which tier supplies it instead."""

    error: str
    tier: Tier


RESTORED = NotLive("the last snapshot before the restart; no source has been read since", "sqlite")
STALLED = NotLive("updates have stopped; no source has been read since", "memory")


def aged(snapshot: Snapshot, by_ms: int, not_live: NotLive | None = None) -> Snapshot:
    """`snapshot` as it is `by_ms` ms after it was computed; with `not_live`, what was live then is stale now."""
    return replace(snapshot, sources={name: _older(state, by_ms, not_live) for name, state in snapshot.sources.items()})


def _older(state: SourceState, by_ms: int, not_live: NotLive | None) -> SourceState:
    older = replace(state, age_ms=None if state.age_ms is None else state.age_ms + by_ms)
    if not_live is None or state.status != "live":
        return older
    return replace(older, status="stale", tier=not_live.tier, error=not_live.error)
