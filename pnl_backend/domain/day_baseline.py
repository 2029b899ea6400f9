"""What a period is measured against: the last complete snapshot before it, else the first complete one in it."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from pnl_backend.domain.readings import SourceName
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import business_date, day_start


class DayBaseline:
    """Follows the snapshots of a run; complete is a snapshot with the whole history of each `configured` source."""

    def __init__(self, zone: ZoneInfo, configured: Set[SourceName]) -> None:
        self._zone = zone
        self._configured = configured
        self._day: date | None = None
        self._latest: Snapshot | None = None
        self._previous: Snapshot | None = None
        self._base: Snapshot | None = None

    @property
    def previous(self) -> Snapshot | None:
        """The last complete snapshot before the day began; None where there is none."""
        return self._previous

    @property
    def base(self) -> Snapshot | None:
        """What the day is measured against: `previous`, else the day's first complete snapshot; None before it."""
        return self._base

    @property
    def latest(self) -> Snapshot | None:
        """The last complete snapshot of all."""
        return self._latest

    @property
    def net_pnl(self) -> Decimal | None:
        """The net P&L in USD that the day is measured against; None before anything was complete."""
        return self._base.net_pnl if self._base else None

    def begin(self, at: int) -> int:
        """Make the business day of `at` the current one; the day's first instant. Both in ms."""
        self._day = business_date(at, self._zone)
        return day_start(self._day, self._zone)

    def restore(self, *, previous: Snapshot | None, first: Snapshot | None, latest: Snapshot | None) -> None:
        """Take the complete snapshots of an earlier run: the last before the day, the day's first, the newest."""
        self._previous = previous
        self._base = previous or first
        self._latest = latest

    def advance(self, at: int) -> None:
        """At the first tick of a new day (`at` in ms) the last complete snapshot becomes the baseline.

        A clock that jumps back does not change the day.
        """
        today = business_date(at, self._zone)
        if self._day is not None and today > self._day and self._latest is not None:
            self._previous = self._base = self._latest
        self._day = today if self._day is None else max(self._day, today)

    def add(self, snapshot: Snapshot) -> None:
        """Note a committed snapshot of the current day."""
        if snapshot.is_complete(self._configured):
            self._latest = snapshot
            self._base = self._base or snapshot

    def drop(self, restated_to: int) -> None:
        """Compare with no snapshot up to this number any more: the next complete one begins anew."""
        self._latest = _after(self._latest, restated_to)
        self._previous = _after(self._previous, restated_to)
        self._base = _after(self._base, restated_to)


def comparable(base: Snapshot, snapshot: Snapshot) -> Snapshot:
    """`base` without the sources of which `snapshot` has no reading: such a source shows no change, not a loss."""
    missing = set(snapshot.degraded)
    if not missing:
        return base
    return replace(
        base,
        lines=tuple(line for line in base.lines if line.source not in missing),
        components={**base.components, **{name: snapshot.components[name] for name in missing}},
        exact_net_pnl=None,
    )


def _after(snapshot: Snapshot | None, restated_to: int) -> Snapshot | None:
    return snapshot if snapshot is not None and snapshot.seq > restated_to else None
