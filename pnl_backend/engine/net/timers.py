"""Every deadline of the engine on one timer, on a monotonic clock that stands still while the event loop is held up.

What a client sent during a stall of this process is read only after the stall. So a stall must not count against
anybody: a wake-up that comes `late` seconds after its time stops the clock for those seconds, which moves every
deadline by as much, and nothing expires until the loop has read its sockets.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic
from types import TracebackType
from typing import Any, Generic, TypeVar

from loguru import logger

Item = TypeVar("Item", bound=Hashable)

GRANULARITY = 0.002
"""Seconds between two wake-ups at least: however many deadlines there are, five hundred wake-ups a second."""
TURN = 0.0005
"""Seconds of one wake-up: a thousand slow clients that expire at once must not hold up the others' broadcast."""
HEARTBEAT = 0.25
"""Seconds between two wake-ups at most while a deadline waits, so that a stall of any length is measured whole."""
LATE = 0.05
"""Seconds by which a wake-up may be late and expire what is due at once; after more, the sockets are read first."""
STALL = 0.25
"""Seconds of lateness that count as a stall. Less is a busy machine's everyday, which must not stretch deadlines."""
SETTLE = 0.1
"""Seconds after a late wake-up in which nothing expires and the loop reads what has arrived meanwhile."""


class Deadlines(Generic[Item]):
    """Items that expire a fixed delay (s) after they were added, in the order in which they were added."""

    __slots__ = ("_entries", "_expire", "_timers", "delay", "due")

    def __init__(self, timers: "Timers", delay: float, expire: Callable[[Item], object]) -> None:
        """`expire` is called with each item whose time is up; it is no longer in the queue then."""
        self.delay = delay
        self._expire = expire
        self.due = 0.0
        """When the item that is expiring just now was due, on the timers' clock."""
        self._timers = timers
        # Ordered with O(1) at its head; a plain dict would walk over everything deleted there.
        self._entries: OrderedDict[Item, float] = OrderedDict()
        timers.queues.append(self)

    def add(self, item: Item, start: float | None = None) -> None:
        """Start the item's delay, or start it again; `start`, on the timers' clock, when it began a moment ago."""
        self._entries.pop(item, None)
        due = self._entries[item] = (self._timers.now() if start is None else start) + self.delay
        self._timers.arm(due)

    def overdue(self, item: Item) -> bool:
        """Whether the item's time is up though it has not expired yet."""
        due = self._entries.get(item)
        return due is not None and due <= self._timers.now()

    def discard(self, item: Item) -> None:
        self._entries.pop(item, None)

    def oldest(self) -> Item | None:
        """The item that expires next."""
        return next(iter(self._entries), None)

    def __contains__(self, item: Item) -> bool:
        return item in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def run(self, now: float) -> float | None:
        """Expire what is due, a turn's worth of it; the next deadline, None when nothing waits."""
        entries = self._entries
        begun = monotonic()
        while entries:
            item, due = next(iter(entries.items()))
            if due > now or monotonic() - begun > TURN:
                return due
            del entries[item]
            self.due = due
            try:
                self._expire(item)
            except Exception as error:
                logger.opt(exception=error).error("A deadline's handler failed")
        return None


class Timers:
    """The one timer."""

    def __init__(self) -> None:
        self.queues: list[Deadlines[Any]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        """Looked up once: that is a system call each time."""
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._earliest = 0.0
        self._stalled = 0.0
        self._settling = False

    def now(self) -> float:
        """Seconds on the clock that every deadline goes by: the loop's, less all stalls so far."""
        loop = self._loop or self._running_loop()
        now = loop.time()
        if self._handle is not None and now > self._due + STALL:
            # In a stall that is not measured yet the clock has stopped at the wake-up that did not come.
            now = self._due + STALL
        return now - self._stalled

    def arm(self, due: float) -> None:
        """Wake up at `due` on this clock, or sooner."""
        due += self._stalled
        if self._handle is None or self._due > due:  # else it comes soon enough: no later than a heartbeat from now
            self._wake_at(due)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._loop = None

    def _wake_at(self, at: float) -> None:
        loop = self._loop or self._running_loop()
        at = min(max(at, self._earliest), loop.time() + HEARTBEAT)
        if self._handle is not None:
            if self._due <= at:
                return
            self._handle.cancel()
        self._due = at
        self._handle = loop.call_at(at, self._run)

    def _run(self) -> None:
        self._handle = None
        loop = self._loop or self._running_loop()
        now = loop.time()
        late = now - self._due
        if late > STALL:
            self._stalled += late
        if late > LATE and not self._settling:  # once: a loop that is always late must not keep everything alive
            self._settling = True
            self._earliest = now + SETTLE
            self._wake_at(self._earliest)
            return
        self._settling = False
        self._earliest = now + GRANULARITY
        clock = now - self._stalled
        for queue in self.queues:
            due = queue.run(clock)
            if due is not None:
                self.arm(due)


class Timeouts(Deadlines[asyncio.Timeout]):
    """`asyncio.timeout` on this clock."""

    __slots__ = ()

    def __init__(self, timers: Timers, delay: float) -> None:
        super().__init__(timers, delay, lambda timeout: timeout.reschedule(asyncio.get_running_loop().time()))

    def limit(self) -> "TimeLimit":
        """For `async with`: raises TimeoutError when the block takes longer than the delay."""
        return TimeLimit(self)


class TimeLimit:
    """One block under `Timeouts`."""

    __slots__ = ("_timeout", "_timeouts")

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> asyncio.Timeout:
        await self._timeout.__aenter__()
        self._timeouts.add(self._timeout)
        return self._timeout

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timeouts.discard(self._timeout)
        await self._timeout.__aexit__(kind, error, traceback)
