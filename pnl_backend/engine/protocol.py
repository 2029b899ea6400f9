"""Socket.IO v5: what clients say, and what becomes of it.

https://socket.io/docs/v4/socket-io-protocol/
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import socketio
from loguru import logger

from pnl_backend.engine import events
from pnl_backend.engine.clients import Client
from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.dispatch import NOT_HANDLED, call, dispatch
from pnl_backend.engine.packets import Message, ProtocolError
from pnl_backend.engine.requests import Environ, Refusal
from pnl_backend.engine.rooms import CONNECTED, LEAVING, Member
from pnl_backend.engine.session import OPEN

if TYPE_CHECKING:
    from pnl_backend.engine.server import Server

Identity = str | Refusal | None
"""The name of a key; None or a Refusal for one that opens nothing."""
Authenticate = Callable[[Environ, Any], Awaitable[Identity] | Identity]


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
    replay: Iterable[tuple[str, Any] | Message] = ()
    """Events, each with its data as in `emit`, or encoded already."""
    admitted: Callable[[Member], None] | None = None
    """Called right behind the replay: from then on the member can be sent more."""


_NO_PLAN = ConnectPlan()
OnConnect = Callable[[ConnectRequest], "Awaitable[ConnectPlan | None] | ConnectPlan | None"]


class Protocol:
    """Packets of all clients: connects, events, acknowledgements, and what the application answers."""

    def __init__(
        self, server: "Server", config: EngineConfig, authenticate: Authenticate | None, on_connect: OnConnect | None
    ) -> None:
        self.server = server
        self.config = config
        self.eio = server.eio
        self.manager = server.manager
        self._authenticate = authenticate
        self._on_connect = on_connect
        self._logged: set[str] = set()

    # What the engine reports.

    def client_opened(self, client: Client) -> None:
        self.server.environ[client.sid] = client.environ
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
            member.depart()
        if members:
            self.eio.spawn(self._say_goodbye(client, members, reason))
        else:
            self.server.environ.pop(client.sid, None)

    async def _say_goodbye(self, client: Client, members: list[Member], reason: str) -> None:
        for member in members:
            await self._left(member, reason)
        self.server.environ.pop(client.sid, None)

    async def _left(self, member: Member, reason: str) -> None:
        """Run the disconnect handler while the member still has its rooms, then take it out."""
        try:
            await dispatch(self.server, "disconnect", member.namespace, member.sid, reason)
        except Exception as error:
            self._failed("disconnect", error)
        self.manager.leave(member)

    # Packets.

    @staticmethod
    def _member(client: Client, namespace: str) -> Member | None:
        member = client.members.get(namespace)
        return member if member is not None and member.state == CONNECTED else None

    @staticmethod
    def _present(client: Client, namespace: str) -> bool:
        """Whether a client has joined a namespace; one whose disconnect handler still runs may join again."""
        member = client.members.get(namespace)
        return member is not None and member.state != LEAVING

    def _take(self, client: Client, packet: events.Packet) -> None:
        if packet.kind == events.CONNECT:
            if self._present(client, packet.namespace):
                raise ProtocolError("connected to the namespace already")
            if not self._known(packet.namespace):
                client.send(
                    self.server.packet(events.CONNECT_ERROR, packet.namespace, {"message": "Invalid namespace"})
                )
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
            member.depart()
            self.eio.spawn(self._leave(client, member))
        else:
            callback = (member.callbacks or {}).pop(packet.id or 0, None)
            if callback is not None:
                self.eio.spawn(self._acknowledged(callback, packet.data))

    def _known(self, namespace: str) -> bool:
        return (
            self.server.namespaces == "*"
            or namespace in self.server.namespaces
            or namespace in self.server.handlers
            or namespace in self.server.namespace_handlers
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
        if key is None or isinstance(key, Refusal):
            self._refuse_key(client, namespace, key)
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
        if client.state != OPEN or self._present(client, namespace):
            return
        member = self.manager.enter(client, namespace, plan.sid or self.eio.generate_id(), plan.rooms)
        member.variant = plan.variant
        refusal = await self._ask(member, auth)
        if refusal is not None:
            self.manager.leave(member)
            self._refuse(client, namespace, refusal)
        elif client.state != OPEN:
            member.depart()
            await self._left(member, "transport close")
        else:
            self.eio.unconnected.discard(client)
            client.environ.forget()
            replay = [
                event if isinstance(event, Message) else self.manager.encode(*event, namespace) for event in plan.replay
            ]
            member.held = [*replay, *(member.held or [])]
            member.admit(self.server.packet(events.CONNECT, namespace, {"sid": member.sid, **plan.payload}))
            if plan.admitted is not None:
                plan.admitted(member)

    async def _identify(self, client: Client, auth: Any) -> Identity:
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
            answer = await dispatch(self.server, "connect", member.namespace, member.sid, member.client.environ, auth)
        except socketio.exceptions.ConnectionRefusedError as error:
            return error.error_args
        except ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except Exception as error:
            self._failed("connect", error)
            return {"message": "Unable to connect"}
        return {"message": "Connection rejected by server"} if answer is False else None

    def _refuse_key(self, client: Client, namespace: str, refusal: Refusal | None) -> None:
        """Answer a CONNECT with a wrong key; a client that gets a Refusal and has no namespace is disconnected."""
        if refusal is None:
            self._refuse(client, namespace, {"message": self.config.refusal})
            return
        data = {"status": refusal.status, "retryAfter": refusal.retry_after}
        self._refuse(client, namespace, {"message": refusal.message, "data": data})
        if not client.members:
            client.depart("server disconnect")

    def _refuse(self, client: Client, namespace: str, reason: Any) -> None:
        self.eio.wiring.counters.refused += 1
        if isinstance(reason, str):
            reason = {"message": reason}
        client.send(self.server.packet(events.CONNECT_ERROR, namespace, reason))

    async def _event(self, client: Client, member: Member, packet: events.Packet) -> None:
        """Run an event's handler and acknowledge with what it returns."""
        try:
            name, *arguments = packet.data
            result = await dispatch(self.server, events.event_name(name), member.namespace, member.sid, *arguments)
        except Exception as error:
            self._failed(str(packet.data[0]), error)
        else:
            if result is NOT_HANDLED:
                self.eio.wiring.counters.unknown_events += 1
            elif packet.id is not None:
                data = [] if result is None else list(result) if isinstance(result, tuple) else [result]
                self.manager.tell(member, self.server.packet(events.ACK, member.namespace, data, ack_id=packet.id))
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
        await self._left(member, self.server.reason.CLIENT_DISCONNECT)
        self.idle(client)

    def idle(self, client: Client) -> None:
        """A client without any namespace has the connect timeout to find one."""
        if client.state == OPEN and not client.members:
            self.eio.unconnected.add(client)

    def _failed(self, what: str, error: Exception) -> None:
        """Log the first failure of each handler with its trace; count them all."""
        self.eio.wiring.counters.handler_errors += 1
        if what not in self._logged and len(self._logged) < 100:
            self._logged.add(what)
            logger.opt(exception=error).error("The handler of {!r} failed; further failures are counted", what[:80])
