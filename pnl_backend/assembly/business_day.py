"""What the business day is measured against, on a node that follows: from the ledger, then from each publication."""

from __future__ import annotations

import time
from collections.abc import Callable, Set
from typing import Protocol
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend import aggregator
from pnl_backend.domain.day_baseline import DayBaseline
from pnl_backend.domain.readings import SourceName
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.errors import StoreError
from pnl_backend.stream.hub import Publication


class Ledger(aggregator.Days, Protocol):
    """What is needed of the ledger."""

    @property
    def restated_to(self) -> int: ...


class FollowedDay:
    """A sink of the hub, attached ahead of those that show the day; it does what the loop of the leader does."""

    def __init__(
        self, ledger: Ledger, zone: ZoneInfo, configured: Set[SourceName], clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger = ledger
        self._configured = configured
        self._day = DayBaseline(zone, configured)
        self._clock = clock
        self._restored = False

    @property
    def previous(self) -> Snapshot | None:
        """The last complete snapshot before the business day began; None where there is none."""
        return self._day.previous

    @property
    def base(self) -> Snapshot | None:
        """`previous`, else the day's first complete snapshot."""
        return self._day.base

    async def restore(self) -> None:
        """Read the day from the ledger; while it cannot be read the day begins with what is published."""
        try:
            await aggregator.restore_day(self._day, self._ledger, self._configured, int(self._clock() * 1000))
        except StoreError as error:
            logger.debug("the business day cannot be read from the ledger yet: {}", error)
            return
        self._restored = True

    async def publish(self, publication: Publication) -> None:
        if not self._restored:
            await self.restore()
        self._day.advance(publication.record.at)
        self._day.drop(self._ledger.restated_to)
        self._day.add(publication.snapshot)

    async def stream_error(self) -> None:
        """Nothing to do: the day stays as it is."""
