"""The Engine.IO server whose sessions carry Socket.IO."""

import asyncio
from collections import OrderedDict
from typing import Protocol, cast

from pnl_backend.engine import closes, refusals
from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.engineio.server import EngineServer
from pnl_backend.engine.engineio.session import OPEN, Session
from pnl_backend.engine.limits import EXCESS_TIMEOUT
from pnl_backend.engine.net.process import descriptor_share
from pnl_backend.engine.net.requests import Environ, Refusal
from pnl_backend.engine.net.timers import Deadlines, Timers
from pnl_backend.engine.socketio.clients import CONNECTED, Client
from pnl_backend.engine.socketio.fanout import Fanout


class ClientListener(Protocol):
    """What the engine reports of its clients to the Socket.IO protocol above it."""

    def client_opened(self, client: Client) -> None: ...

    def client_sent(self, client: Client, data: str | bytes) -> None: ...

    def client_closed(self, client: Client, reason: str) -> None: ...


class ConnectDeadlines(Deadlines[Client]):
    """Sessions that have not sent their CONNECT, by groups of addresses and by age."""

    __slots__ = ("_by_group", "_group")

    def __init__(self, timers: Timers, config: EngineConfig) -> None:
        super().__init__(timers, config.connect_timeout, self._connect_overdue)
        self._group = config.group_address
        self._by_group: dict[str, OrderedDict[Client, float]] = {}
        """When each was added, on the timers' clock."""

    def add(self, item: Client, start: float | None = None) -> None:
        same = self._by_group.setdefault(self._group(item.environ.peer), OrderedDict())
        same.setdefault(item, self._timers.now())
        super().add(item, start)

    def discard(self, item: Client) -> None:
        if item in self:
            super().discard(item)
            self._leave(item)

    def _connect_overdue(self, item: Client) -> None:
        self._leave(item)
        item.end(closes.TRANSPORT_ERROR)

    def is_full(self, peer: str, cap: int) -> bool:
        """Whether the peer's group of addresses has more than it may have, and for longer than a burst takes.

        Thousands of clients behind one address that come back at once all open a session before the first of them has
        sent its CONNECT.
        """
        same = self._by_group.get(self._group(peer))
        if same is None or len(same) < cap:
            return False
        return self._timers.now() - next(iter(same.values())) >= EXCESS_TIMEOUT

    def _leave(self, item: Client) -> None:
        group = self._group(item.environ.peer)
        del self._by_group[group][item]
        if not self._by_group[group]:
            del self._by_group[group]


class SocketEngine(EngineServer):
    """The Engine.IO server with Socket.IO above it."""

    session_class = Client
    sessions: dict[str, Client]  # type: ignore[assignment] # its own class of sessions
    client_listener: ClientListener

    def __init__(self, *, config: EngineConfig, async_handlers: bool = False) -> None:
        super().__init__(config=config, async_handlers=async_handlers)
        self.fanout = Fanout(self.shared.counters)
        self.unconnected = ConnectDeadlines(self.shared.timers, config)

    def new_session(self, environ: Environ) -> Session:
        if len(self.unconnected) >= descriptor_share(self.config.max_unauthenticated, part=4):
            raise Refusal.of(refusals.UNCONNECTED_FULL)
        if self.unconnected.is_full(environ.peer, descriptor_share(self.config.max_unauthenticated_per_ip, part=8)):
            raise Refusal.of(refusals.UNCONNECTED_ADDRESS_FULL)
        return super().new_session(environ)

    def opened(self, session: Session) -> None:
        self.resting.add(session)
        self.client_listener.client_opened(cast(Client, session))

    def message(self, session: Session, data: str | bytes) -> None:
        self.client_listener.client_sent(cast(Client, session), data)

    def closed(self, session: Session, reason: str) -> None:
        super().closed(session, reason)
        self.client_listener.client_closed(cast(Client, session), reason)

    async def ready(self, session: Session) -> None:
        backlog_done = cast(Client, session).backlog_done
        if backlog_done is not None:
            await asyncio.shield(backlog_done)

    def settle(self, session: Session) -> None:
        if self.fanout.active:
            for member in cast(Client, session).members.values():
                self.fanout.settle(member)

    def upgraded(self, session: Session) -> None:
        for member in cast(Client, session).members.values():
            if member.held is None and member.state == CONNECTED:
                member.connection = session.connection

    def idle(self, client: Client) -> None:
        """A client without any namespace has the connect timeout to join one."""
        if client.state == OPEN and not client.members:
            self.unconnected.add(client)
