"""Connections that have not sent a complete request: their deadline, their caps, and which of them makes room."""

from collections import OrderedDict
from typing import Protocol

from loguru import logger

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.limits import CLOSE_TIMEOUT, EXCESS_TIMEOUT
from pnl_backend.engine.net.process import descriptor_share
from pnl_backend.engine.net.shared import SharedState
from pnl_backend.engine.net.timers import Deadlines


class Holder(Protocol):
    """Whatever reads from an accepted socket just now."""

    def read(self) -> None:
        """Take what has arrived, where the event loop does not do that alone."""

    def give_up(self) -> None:
        """Close the socket at once."""


class PendingConnection:
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


class PendingConnections:
    """Accepted connections without a known client: those without a complete head, and idle kept-alive ones.

    Beyond a cap the oldest makes room: who sends a request at once is served even while others hold connections open.
    Beyond the cap of one address that is after some seconds, because thousands of clients behind one address that come
    back at once all connect before the first of them has sent its head.
    """

    def __init__(self, shared: SharedState) -> None:
        self.shared = shared
        self.unfinished = Deadlines[PendingConnection](shared.timers, shared.config.head_timeout, self._head_overdue)
        """Until aiohttp or the engine has the request."""
        self.lingering = Deadlines[PendingConnection](shared.timers, CLOSE_TIMEOUT, self.close)
        """Refused connections whose peer has not ended its half."""
        self._excess = Deadlines[PendingConnection](shared.timers, EXCESS_TIMEOUT, self._excess_overdue)
        """Those that came while their group of addresses was at its cap."""
        self._waiting: OrderedDict[PendingConnection, None] = OrderedDict()
        """Those whose head has not arrived, and the lingering ones."""
        self._by_group: dict[str, OrderedDict[PendingConnection, None]] = {}
        self._idle: OrderedDict[PendingConnection, None] = OrderedDict()
        self._reducing = False

    @property
    def config(self) -> EngineConfig:
        return self.shared.config

    def enter(self, peer: str, holder: Holder) -> PendingConnection:
        """Take a new connection."""
        accepted = PendingConnection(peer, None if self.config.is_proxy(peer) else self.config.group_address(peer))
        accepted.holder = holder
        self.begin(accepted)
        return accepted

    def begin(self, accepted: PendingConnection) -> None:
        """A request head is awaited; the oldest connections that wait for one make room where there are too many."""
        self.unfinished.add(accepted)
        self._wait(accepted)

    def linger(self, accepted: PendingConnection) -> None:
        """The request is refused: closed at once, a socket with unread data would reset, and the answer be lost.

        Until its peer has ended its half, or its time is up, the connection counts as one that waits.
        """
        self.unfinished.discard(accepted)
        self.lingering.add(accepted)
        self._wait(accepted)
        if accepted.group in self._by_group:
            self._reduce(self._by_group[accepted.group], self._group_cap())

    def _wait(self, accepted: PendingConnection) -> None:
        self._idle.pop(accepted, None)
        self._waiting.pop(accepted, None)
        self._waiting[accepted] = None
        if accepted.group is not None:
            same = self._by_group.setdefault(accepted.group, OrderedDict())
            same[accepted] = None
            if len(same) > self._group_cap():
                self._excess.add(accepted)
        self._reduce(self._waiting, descriptor_share(self.config.max_unfinished, part=2))

    def received(self, accepted: PendingConnection) -> None:
        """The head has arrived; it keeps its deadline until `complete`, for nobody has understood it yet."""
        self._waiting.pop(accepted, None)
        self._excess.discard(accepted)
        same = None if accepted.group is None else self._by_group.get(accepted.group)
        if accepted.group is not None and same is not None:
            same.pop(accepted, None)
            if not same:
                del self._by_group[accepted.group]

    def complete(self, accepted: PendingConnection) -> None:
        """The request is in hand, or the connection is closed."""
        if accepted in self._idle:  # then it is in no other queue
            del self._idle[accepted]
            return
        if accepted in self._waiting:
            self.received(accepted)
        self.unfinished.discard(accepted)
        self.lingering.discard(accepted)

    def closed(self, accepted: PendingConnection) -> None:
        """The connection is closed; the reader refers to the accepted, so clear the reference back: no cycle stays."""
        self.complete(accepted)
        accepted.holder = None

    def rest(self, accepted: PendingConnection) -> None:
        """The connection is kept alive between two requests."""
        self._idle[accepted] = None

    def _head_overdue(self, accepted: PendingConnection) -> None:
        self.shared.counters.head_timeouts += 1
        self.close(accepted)

    def _reduce(self, connections: OrderedDict[PendingConnection, None], cap: int) -> None:
        """Displace the oldest until the cap is met.

        One that is read meanwhile may be refused and wait in its turn: that is left to the first call, else each would
        displace the next one inside of itself.
        """
        if self._reducing:
            return
        self._reducing = True
        try:
            while len(connections) > cap:
                self._displace(next(iter(connections)))
        finally:
            self._reducing = False

    def _excess_overdue(self, accepted: PendingConnection) -> None:
        """The oldest of the group makes room, if the group is still beyond its cap."""
        same = None if accepted.group is None else self._by_group.get(accepted.group)
        while same and len(same) > self._group_cap():
            if self._displace(next(iter(same))):
                return

    def _group_cap(self) -> int:
        return descriptor_share(self.config.max_unfinished_per_ip, part=4)

    def make_room(self) -> bool:
        """Free a descriptor: the oldest connection without a head is closed, or else the one idle longest."""
        for connections in (self._waiting, self._idle):
            while connections:
                if self._displace(next(iter(connections))):
                    return True
        return False

    def close(self, accepted: PendingConnection) -> None:
        self.complete(accepted)
        try:
            accepted.give_up()
        except Exception as error:
            logger.opt(exception=error).error("A connection could not be closed")
        accepted.holder = None

    def close_all(self) -> None:
        """At shutdown."""
        for waiting in (self.unfinished, self.lingering):
            while (accepted := waiting.oldest()) is not None:
                self.close(accepted)

    def _displace(self, accepted: PendingConnection) -> bool:
        """Close a connection that waits, unless what it needs has arrived and was only not read yet."""
        if accepted.holder is not None:
            accepted.holder.read()
        if accepted not in self._waiting and accepted not in self._idle:
            return False
        self.shared.counters.shed += 1
        self.close(accepted)
        return True
