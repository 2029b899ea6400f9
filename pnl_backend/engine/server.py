"""The Socket.IO v5 server that an application builds: python-socketio's API over this engine.

https://socket.io/docs/v4/socket-io-protocol/
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import socketio
from loguru import logger

from pnl_backend.engine import events
from pnl_backend.engine.admission import RETRY_AFTER
from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.connection import Owner
from pnl_backend.engine.dispatch import NOT_HANDLED, call, dispatch
from pnl_backend.engine.eio import EngineServer
from pnl_backend.engine.fanout import Broadcast, Fanout
from pnl_backend.engine.feeds import COMMENT_INTERVAL, Accept, FeedConnection, open_feed
from pnl_backend.engine.packets import MESSAGE, Message, ProtocolError
from pnl_backend.engine.requests import Environ, Refusal, behind_proxies
from pnl_backend.engine.rooms import CONNECTED, LEAVING, Member, Room, Rooms
from pnl_backend.engine.session import OPEN, Session
from pnl_backend.engine.timers import Deadlines

Authenticate = Callable[[Environ, Any], "Awaitable[str | None] | str | None"]


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """A client that was authenticated and asks to connect to a namespace."""

    namespace: str
    auth: Any
    environ: Environ
    key: str
    """What `authenticate` named it."""


@dataclass(frozen=True, slots=True)
class ConnectPlan:
    """How to take it in."""

    sid: str | None = None
    rooms: Sequence[str] = ()
    payload: Mapping[str, Any] = field(default_factory=dict)
    variant: int = 0
    replay: Iterable[tuple[str, Any]] = ()
    """Events, each with its data as in `emit`."""


_NO_PLAN = ConnectPlan()
OnConnect = Callable[[ConnectRequest], "Awaitable[ConnectPlan | None] | ConnectPlan | None"]


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Clients now, by transport, and what was counted since the start."""

    clients: int
    websocket: int
    polling: int
    feed_websocket: int
    feed_sse: int
    unauthenticated: int
    messages_sent: int
    messages_received: int
    dropped: int
    slow_disconnects: int
    refused: int
    protocol_errors: int
    handler_errors: int
    ping_timeouts: int


class Client(Session):
    """An Engine.IO session with its Socket.IO state."""

    __slots__ = ("assembling", "keys", "members", "parked", "running")

    def __init__(self, engine: EngineServer, sid: str, environ: Environ) -> None:
        super().__init__(engine, sid, environ)
        self.members: dict[str, Member] = {}
        self.assembling: events.Packet | None = None
        self.keys: tuple[str, ...] = ()
        self.running = 0
        self.parked: asyncio.Future[None] | None = None


class SocketEngine(EngineServer):
    """The Engine.IO server with Socket.IO above it."""

    session_class = Client
    sessions: dict[str, Client]  # type: ignore[assignment] # its own class of sessions
    layer: "Server"

    def __init__(self, *, config: EngineConfig, async_handlers: bool = False) -> None:
        super().__init__(config=config, async_handlers=async_handlers)
        self.fanout = Fanout(self.wiring.counters)
        self.unconnected: Deadlines[Client] = self.wiring.timers.queue(config.connect_timeout, self._late)
        self.commenting: Deadlines[FeedConnection] = self.wiring.timers.queue(COMMENT_INTERVAL, FeedConnection.beat)
        self.feeds: set[FeedConnection] = set()

    @staticmethod
    def _late(client: Client) -> None:
        """No CONNECT within the connect timeout."""
        client.end("transport error")

    def new_session(self, environ: Environ) -> Session:
        cap = self.config.max_unauthenticated
        if cap and len(self.unconnected) >= cap:
            raise Refusal(503, "Too many connections that have not connected", retry_after=RETRY_AFTER)
        return super().new_session(environ)

    def opened(self, session: Session) -> None:
        self.resting.add(session)
        self.layer.client_opened(cast(Client, session))

    def message(self, session: Session, data: str | bytes) -> None:
        self.layer.client_sent(cast(Client, session), data)

    def closed(self, session: Session, reason: str) -> None:
        super().closed(session, reason)
        self.layer.client_closed(cast(Client, session), reason)

    async def ready(self, session: Session) -> None:
        parked = cast(Client, session).parked
        if parked is not None:
            await asyncio.shield(parked)

    def settle(self, session: Session) -> None:
        if self.fanout.active:
            for member in cast(Client, session).members.values():
                self.fanout.settle(member)

    def upgraded(self, session: Session) -> None:
        for member in cast(Client, session).members.values():
            if member.held is None:
                member.connection = session.connection


class Server(socketio.AsyncServer):
    """A `socketio.AsyncServer` on our own engine, with broadcasts that say what they replace."""

    eio: SocketEngine
    manager: Rooms

    def __init__(
        self, config: EngineConfig, *, authenticate: Authenticate | None = None, on_connect: OnConnect | None = None
    ) -> None:
        self.config = config
        self._authenticate = authenticate
        self._on_connect = on_connect
        self._logged: set[str] = set()
        cast(Any, super()).__init__(client_manager=Rooms(), config=config)
        self.clients = self.eio.sessions
        self.feeds: dict[str, Accept] = {}
        self.eio.layer = self

    def _engineio_server_class(self) -> type[EngineServer]:
        return SocketEngine

    # For the application.

    def attach(self, app: Any, socketio_path: str | None = None) -> None:
        """Mount on an aiohttp application at the configured path."""
        if socketio_path is not None and socketio_path.strip("/") != self.config.path.strip("/"):
            raise ValueError("the path is EngineConfig.path's to say")
        from pnl_backend.engine.listener import attach

        attach(self, app)

    async def broadcast(
        self,
        event: str,
        data: Any = None,
        *,
        room: Room = None,
        namespace: str = "/",
        skip_sid: str | None = None,
        replace_key: str | None = None,
        offset: str | None = None,
    ) -> None:
        """Emit to a room, or to everyone, what may replace what waits under the same key."""
        audience = self.manager.audience(namespace, room, skip_sid)
        if not audience:
            return
        plain = with_offset = self.manager.encode(event, data, namespace, key=replace_key)
        if offset is not None:
            arguments = data if isinstance(data, tuple) else () if data is None else (data,)
            with_offset = self.manager.encode(event, (*arguments, offset), namespace, key=replace_key)
        await self.manager.finish(self.eio.fanout.publish(audience, [plain, with_offset]))

    def publish(self, feeds: Sequence[FeedConnection], message: Message, *, behind: Message | None = None) -> Broadcast:
        """The same fan-out for plain feeds: those that lag get `behind`, when given, in place of the message."""
        return self.eio.fanout.publish(feeds, [message] * 2, None if behind is None else [behind] * 2)

    def add_feed(self, path: str, accept: Accept) -> None:
        """Take WebSocket upgrades at a path for a plain feed."""
        self.feeds[path] = accept

    def takes(self, path: str) -> bool:
        """Whether WebSocket upgrades at this path are for the engine."""
        return path == self.config.path or path in self.feeds

    def open_upgrade(self, environ: Environ) -> tuple[Owner, bytes]:
        """Judge an upgrade before it is answered: its owner and the answer; Refusal when it is not taken."""
        environ = behind_proxies(environ, self.eio.proxies)
        try:
            accept = self.feeds.get(environ.path)
            if accept is None:
                return self.eio.open_websocket(environ)
            return open_feed(self.eio, environ, accept)
        except Refusal:
            self.eio.wiring.counters.refused += 1
            raise

    def stats(self) -> EngineStats:
        websocket = sum(client.connection is not None for client in self.clients.values())
        sse = sum(feed.kind == "sse" for feed in self.eio.feeds)
        return EngineStats(
            clients=self.eio.admission.total,
            websocket=websocket,
            polling=len(self.clients) - websocket,
            feed_websocket=len(self.eio.feeds) - sse,
            feed_sse=sse,
            unauthenticated=len(self.eio.unconnected),
            **asdict(self.eio.wiring.counters),
        )

    def close_key(self, key: str) -> int:
        """Close everything that came in under a key; how many."""
        clients = [client for client in self.clients.values() if key in client.keys]
        for client in clients:
            for namespace in client.members:
                client.send(self.packet(events.DISCONNECT, namespace))
            client.depart("server disconnect")
        feeds = [feed for feed in self.eio.feeds if feed.key == key]
        for feed in feeds:
            feed.close(1008, "key revoked")
        return len(clients) + len(feeds)

    async def shutdown(self, timeout: float = 5.0) -> None:
        """Tell every client that the server goes away, refuse newcomers, wait for the goodbyes."""
        self.eio.admission.closed = True
        for feed in list(self.eio.feeds):
            feed.close(1001, "server shutting down")
        await self.eio.shutdown(timeout)

    # What the engine reports.

    def client_opened(self, client: Client) -> None:
        self.environ[client.sid] = client.environ
        self.eio.unconnected.add(client)

    def client_sent(self, client: Client, data: str | bytes) -> None:
        """One Engine.IO message: a packet, or an attachment of the last one."""
        packet = client.assembling
        if isinstance(data, bytes):
            if packet is None:
                raise ProtocolError("attachment without a packet")
            if not packet.attach(data):
                return
            client.assembling = None
        elif packet is not None:
            raise ProtocolError("attachment expected")
        else:
            packet = events.decode(
                data, max_attachments=self.config.max_attachments, max_depth=self.config.max_json_depth
            )
            if packet.kind != events.CONNECT and self._member(client, packet.namespace) is None:
                raise ProtocolError("not connected to the namespace")
            if packet.missing:
                client.assembling = packet
                return
        self._take(client, packet)

    def client_closed(self, client: Client, reason: str) -> None:
        self.eio.unconnected.discard(client)
        client.assembling = None
        for key in client.keys:
            self.eio.admission.leave_key(key)
        self._release(client)
        members = [member for member in client.members.values() if member.state == CONNECTED]
        for member in members:
            member.connection = None
            member.state = LEAVING
        if members:
            self.eio.spawn(self._say_goodbye(client, members, reason))
        else:
            self.environ.pop(client.sid, None)

    async def _say_goodbye(self, client: Client, members: list[Member], reason: str) -> None:
        for member in members:
            await self._left(member, reason)
        self.environ.pop(client.sid, None)

    async def _left(self, member: Member, reason: str) -> None:
        """Run the disconnect handler while the member still has its rooms, then take it out."""
        try:
            await dispatch(self, "disconnect", member.namespace, member.sid, reason)
        except Exception as error:
            self._failed("disconnect", error)
        self.manager.leave(member)

    # Packets.

    @staticmethod
    def _member(client: Client, namespace: str) -> Member | None:
        member = client.members.get(namespace)
        return member if member is not None and member.state == CONNECTED else None

    def _take(self, client: Client, packet: events.Packet) -> None:
        if packet.kind == events.CONNECT:
            if packet.namespace in client.members:
                raise ProtocolError("connected to the namespace already")
            if not self._known(packet.namespace):
                client.send(self.packet(events.CONNECT_ERROR, packet.namespace, {"message": "Invalid namespace"}))
                return
            self._enlist(client)
            self.eio.spawn(self._connecting(client, packet.namespace, packet.data))
            return
        member = self._member(client, packet.namespace)
        if member is None:
            raise ProtocolError("not connected to the namespace")
        if packet.kind in (events.EVENT, events.BINARY_EVENT):
            self._enlist(client)
            self.eio.spawn(self._event(client, member, packet))
        elif packet.kind == events.DISCONNECT:
            member.state = LEAVING
            member.connection = None
            self.eio.spawn(self._leave(client, member))
        else:
            callback = (member.callbacks or {}).pop(packet.id or 0, None)
            if callback is not None:
                self.eio.spawn(self._acknowledged(callback, packet.data))

    def _known(self, namespace: str) -> bool:
        return (
            self.namespaces == "*"
            or namespace in self.namespaces
            or namespace in self.handlers
            or namespace in self.namespace_handlers
        )

    async def _connecting(self, client: Client, namespace: str, auth: Any) -> None:
        try:
            await self._connect(client, namespace, auth)
        finally:
            self._discharge(client)

    async def _connect(self, client: Client, namespace: str, auth: Any) -> None:
        """Authenticate, plan, run the connect handlers, answer. Nothing is in the books before the key is known."""
        key = await self._identify(client, auth)
        if client.state != OPEN:
            return
        if key is None:
            self._refuse(client, namespace, {"message": self.config.refusal})
            return
        if key not in client.keys:
            if not self.eio.admission.enter_key(key):
                self._refuse(client, namespace, {"message": "Too many connections for this key"})
                return
            client.keys = (*client.keys, key)
        try:
            plan = await self._plan(ConnectRequest(namespace, auth, client.environ, key))
        except Exception as error:
            self._failed("on_connect", error)
            self._refuse(client, namespace, {"message": "Unable to connect"})
            return
        if client.state != OPEN or namespace in client.members:
            return
        member = self.manager.enter(client, namespace, plan.sid or self.eio.generate_id(), plan.rooms)
        member.variant = plan.variant
        refusal = await self._ask(member, auth)
        if refusal is not None:
            self.manager.leave(member)
            self._refuse(client, namespace, refusal)
        elif client.state != OPEN:
            member.state = LEAVING
            await self._left(member, "transport close")
        else:
            self.eio.unconnected.discard(client)
            client.environ.forget()
            replay = [self.manager.encode(event, data, namespace) for event, data in plan.replay]
            member.held = [*replay, *(member.held or [])]
            member.admit(self.packet(events.CONNECT, namespace, {"sid": member.sid, **plan.payload}))

    async def _identify(self, client: Client, auth: Any) -> str | None:
        if self._authenticate is None:
            return ""
        try:
            answer = self._authenticate(client.environ, auth)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception as error:
            self._failed("authenticate", error)
            return None

    async def _plan(self, request: ConnectRequest) -> ConnectPlan:
        if self._on_connect is None:
            return _NO_PLAN
        answer = self._on_connect(request)
        return (await answer if inspect.isawaitable(answer) else answer) or _NO_PLAN

    async def _ask(self, member: Member, auth: Any) -> Any:
        """Run the connect handlers; None when they take the client, else what it is told."""
        try:
            answer = await dispatch(self, "connect", member.namespace, member.sid, member.client.environ, auth)
        except socketio.exceptions.ConnectionRefusedError as error:
            return error.error_args
        except ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except Exception as error:
            self._failed("connect", error)
            return {"message": "Unable to connect"}
        return {"message": "Connection rejected by server"} if answer is False else None

    def _refuse(self, client: Client, namespace: str, reason: Any) -> None:
        self.eio.wiring.counters.refused += 1
        if isinstance(reason, str):
            reason = {"message": reason}
        client.send(self.packet(events.CONNECT_ERROR, namespace, reason))

    async def _event(self, client: Client, member: Member, packet: events.Packet) -> None:
        """Run an event's handler and acknowledge with what it returns."""
        try:
            name, *arguments = packet.data
            result = await dispatch(self, name, member.namespace, member.sid, *arguments)
        except Exception as error:
            self._failed(str(packet.data[0]), error)
        else:
            if packet.id is not None and result is not NOT_HANDLED:
                data = [] if result is None else list(result) if isinstance(result, tuple) else [result]
                self.manager.tell(member, self.packet(events.ACK, member.namespace, data, ack_id=packet.id))
        finally:
            self._discharge(client)

    async def _acknowledged(self, callback: Callable[..., Any], data: list[Any]) -> None:
        try:
            await call(callback, tuple(data))
        except Exception as error:
            self._failed("acknowledgement", error)

    def _enlist(self, client: Client) -> None:
        """Count a handler in; too many at once stop the reading from that client."""
        client.running += 1
        if client.running < self.config.max_pending_handlers or client.parked is not None:
            return
        client.parked = asyncio.get_running_loop().create_future()
        if client.connection is not None:
            client.connection.pause()

    def _discharge(self, client: Client) -> None:
        """Count a handler out."""
        client.running -= 1
        if client.running < self.config.max_pending_handlers:
            self._release(client)

    @staticmethod
    def _release(client: Client) -> None:
        if client.parked is not None:
            parked, client.parked = client.parked, None
            parked.set_result(None)
            if client.connection is not None:
                client.connection.resume()

    async def _leave(self, client: Client, member: Member) -> None:
        await self._left(member, self.reason.CLIENT_DISCONNECT)
        self.idle(client)

    def idle(self, client: Client) -> None:
        """A client without any namespace has the connect timeout to find one."""
        if client.state == OPEN and not client.members:
            self.eio.unconnected.add(client)

    def packet(
        self, kind: int, namespace: str, data: Any = None, *, ack_id: int | None = None, key: str | None = None
    ) -> Message:
        """A packet as python-socketio's encoder writes it."""
        packet_class = cast(Any, self.packet_class)
        encoded = packet_class(packet_type=kind, data=data, namespace=namespace, id=ack_id).encode()
        if isinstance(encoded, list):
            return Message((MESSAGE + encoded[0], *encoded[1:]), key=key)
        return Message((MESSAGE + encoded,), key=key)

    def _failed(self, what: str, error: Exception) -> None:
        """Log the first failure of each handler with its trace; count them all."""
        self.eio.wiring.counters.handler_errors += 1
        if what not in self._logged and len(self._logged) < 100:
            self._logged.add(what)
            logger.opt(exception=error).error("The handler of {!r} failed; further failures are counted", what[:80])


def create_server(
    config: EngineConfig | None = None, *, authenticate: Authenticate | None = None, on_connect: OnConnect | None = None
) -> Server:
    """Build a server that stands alone; docs/engine.md says what it offers."""
    return Server(config or EngineConfig(), authenticate=authenticate, on_connect=on_connect)
