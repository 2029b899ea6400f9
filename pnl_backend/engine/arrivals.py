"""Connections that have not sent a complete request: their deadline, their caps, and which of them makes room."""

from collections import OrderedDict
from typing import Protocol

from loguru import logger

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.connection import Wiring
from pnl_backend.engine.process import descriptor_ceiling
from pnl_backend.engine.timers import Deadlines


class Holder(Protocol):
    """Whatever reads from an accepted socket just now."""

    def give_up(self) -> None:
        """Close the socket at once."""


class Arrival:
    """One accepted connection, the same from accept through every hand-over."""

    __slots__ = ("group", "holder", "peer")

    def __init__(self, peer: str, group: str | None) -> None:
        """`group` is the group of addresses under whose cap it counts; None for a proxy's, under none."""
        self.peer = peer
        self.group = group
        self.holder: Holder | None = None

    def give_up(self) -> None:
        if self.holder is not None:
            self.holder.give_up()


class HeadsDue(Deadlines[Arrival]):
    """Connections without a complete request head."""

    __slots__ = ("arrivals",)

    def __init__(self, arrivals: "Arrivals", wiring: Wiring) -> None:
        super().__init__(wiring.timers, wiring.config.head_timeout)
        self.arrivals = arrivals

    def expire(self, item: Arrival) -> None:
        self.arrivals.wiring.counters.head_timeouts += 1
        self.arrivals.close(item)


class Arrivals:
    """Accepted connections that nobody vouches for yet: those without a complete head, and idle kept-alive ones.

    Beyond a cap the oldest makes room: who sends a request at once is served even while others hold connections open.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.unfinished = HeadsDue(self, wiring)
        self._idle: OrderedDict[Arrival, None] = OrderedDict()
        self._by_group: dict[str, OrderedDict[Arrival, None]] = {}

    @property
    def config(self) -> EngineConfig:
        return self.wiring.config

    def __len__(self) -> int:
        return len(self.unfinished) + len(self._idle)

    def enter(self, peer: str, holder: Holder) -> Arrival:
        """Take a new connection."""
        arrival = Arrival(peer, None if self.config.is_proxy(peer) else self.config.group_address(peer))
        arrival.holder = holder
        self.begin(arrival)
        return arrival

    def begin(self, arrival: Arrival) -> None:
        """A request head is awaited; closes the oldest connection that waits for one where there are too many."""
        self._idle.pop(arrival, None)
        self.unfinished.add(arrival)
        if arrival.group is not None:
            waiting = self._by_group.setdefault(arrival.group, OrderedDict())
            waiting[arrival] = None
            if len(waiting) > self._cap(self.config.max_unfinished_per_ip, share=4):
                self.shed(next(iter(waiting)))
        if len(self.unfinished) > self._cap(self.config.max_unfinished, share=2):
            self.shed()

    def complete(self, arrival: Arrival) -> None:
        """The head is complete."""
        self._idle.pop(arrival, None)
        self.unfinished.discard(arrival)
        waiting = None if arrival.group is None else self._by_group.get(arrival.group)
        if arrival.group is not None and waiting is not None:
            waiting.pop(arrival, None)
            if not waiting:
                del self._by_group[arrival.group]

    def rest(self, arrival: Arrival) -> None:
        """The connection is kept alive between two requests."""
        self._idle[arrival] = None

    def shed(self, arrival: Arrival | None = None) -> bool:
        """Close a connection to make room: the oldest without a complete head, or else idle longest; whether any."""
        arrival = arrival or self.unfinished.oldest() or next(iter(self._idle), None)
        if arrival is None:
            return False
        self.wiring.counters.shed += 1
        self.close(arrival)
        return True

    def close(self, arrival: Arrival) -> None:
        self.complete(arrival)
        try:
            arrival.give_up()
        except Exception as error:
            logger.opt(exception=error).error("A connection could not be closed")

    def close_all(self) -> None:
        """At shutdown."""
        while (arrival := self.unfinished.oldest()) is not None:
            self.close(arrival)

    @staticmethod
    def _cap(configured: int, *, share: int) -> int:
        """A cap that never takes more than one part in `share` of the descriptors; 0 leaves only that."""
        ceiling = max(1, descriptor_ceiling() // share)
        return min(configured, ceiling) if configured else ceiling
