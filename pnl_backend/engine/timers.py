"""Every deadline of the engine on one timer, on the loop's monotonic clock."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from loguru import logger

Item = TypeVar("Item", bound=Hashable)

GRANULARITY = 0.002
"""Seconds between two wakings at least: however many deadlines there are, five hundred wakings a second."""
TURN = 0.0005
"""Seconds of one waking: a thousand slow clients cut at once must not hold up the others' broadcast."""


class Deadlines(Generic[Item]):
    """Items that expire a fixed delay after they were added, in the order in which they came."""

    __slots__ = ("_entries", "_expired", "_timers", "delay", "due")

    def __init__(self, timers: "Timers", delay: float, expired: Callable[[Item], None]) -> None:
        self.delay = delay
        self.due = 0.0
        """When the item that is expiring just now was due."""
        self._timers = timers
        self._expired = expired
        # Ordered with O(1) at its head; a plain dict would walk over everything deleted there.
        self._entries: OrderedDict[Item, float] = OrderedDict()

    def add(self, item: Item, start: float | None = None) -> None:
        """Start the item's delay, or start it again; `start` when it began a moment ago."""
        self._entries.pop(item, None)
        due = self._entries[item] = (self._timers.now() if start is None else start) + self.delay
        self._timers.arm(due)

    def overdue(self, item: Item) -> bool:
        """Whether the item's time is up though nobody has been told yet."""
        due = self._entries.get(item)
        return due is not None and due <= self._timers.now()

    def discard(self, item: Item) -> None:
        self._entries.pop(item, None)

    def __contains__(self, item: Item) -> bool:
        return item in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def run(self, now: float) -> float | None:
        """Expire what is due, a turn's worth of it; the next deadline, None when nothing waits."""
        entries = self._entries
        while entries:
            item, due = next(iter(entries.items()))
            if due > now or self._timers.now() - now > TURN:
                return due
            del entries[item]
            self.due = due
            try:
                self._expired(item)
            except Exception as error:
                logger.opt(exception=error).error("A deadline's handler failed")
        return None


class Timers:
    """The one timer."""

    def __init__(self) -> None:
        self.queues: list[Deadlines[object]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._ran = 0.0

    def queue(self, delay: float, expired: Callable[[Item], None]) -> Deadlines[Item]:
        queue = Deadlines(self, delay, expired)
        self.queues.append(queue)  # type: ignore[arg-type] # queues of several kinds of items share the timer
        return queue

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def arm(self, due: float) -> None:
        """Wake at `due`, or sooner."""
        due = max(due, self._ran + GRANULARITY)
        if self._handle is not None:
            if self._due <= due:
                return
            self._handle.cancel()
        self._due = due
        self._handle = asyncio.get_running_loop().call_at(due, self._run)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run(self) -> None:
        self._handle = None
        now = self._ran = self.now()
        for queue in self.queues:
            due = queue.run(now)
            if due is not None:
                self.arm(due)
