"""What a business day is measured against: the last complete snapshot before it, else the day's first."""

from __future__ import annotations

from collections.abc import Set
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from pnl_backend.domain.readings import SourceName
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import business_date, day_start


class DayBaseline:
    """Follows the snapshots of a run; complete is a snapshot with a reading of each `configured` source."""

    def __init__(self, zone: ZoneInfo, configured: Set[SourceName]) -> None:
        self._zone = zone
        self._configured = configured
        self._day: date | None = None
        self._complete: Snapshot | None = None
        self._previous: Snapshot | None = None
        self._net_pnl: Decimal | None = None

    @property
    def previous(self) -> Snapshot | None:
        """The last complete snapshot before the day began; None where there is none."""
        return self._previous

    @property
    def net_pnl(self) -> Decimal | None:
        """The net P&L in USD that the day is measured against; None before anything was complete."""
        return self._net_pnl

    def begin(self, at: int) -> int:
        """Make the business day of `at` the current one; the day's first instant. Both in ms."""
        self._day = business_date(at, self._zone)
        return day_start(self._day, self._zone)

    def restore(self, *, previous: Snapshot | None, first: Snapshot | None, latest: Snapshot | None) -> None:
        """Take the complete snapshots of an earlier run: the last before the day, the day's first, the newest."""
        self._previous = previous
        start = previous or first
        self._net_pnl = start.net_pnl if start else None
        self._complete = latest

    def advance(self, at: int) -> None:
        """At the first tick of a new day (`at` in ms) the last complete snapshot becomes the baseline.

        A clock that jumps back does not change the day.
        """
        today = business_date(at, self._zone)
        if self._day is not None and today > self._day and self._complete is not None:
            self._previous = self._complete
            self._net_pnl = self._complete.net_pnl
        self._day = today if self._day is None else max(self._day, today)

    def add(self, snapshot: Snapshot) -> None:
        """Note a committed snapshot of the current day."""
        if snapshot.is_complete(self._configured):
            self._complete = snapshot
            if self._net_pnl is None:
                self._net_pnl = snapshot.net_pnl
