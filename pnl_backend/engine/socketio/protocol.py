"""Socket.IO v5: packets of connected clients, and what becomes of them; `connects.py` has the way in.

https://socket.io/docs/v4/socket-io-protocol/
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loguru import logger

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.engineio.packets import ProtocolError
from pnl_backend.engine.engineio.session import OPEN
from pnl_backend.engine.socketio import packets as events
from pnl_backend.engine.socketio.clients import Client
from pnl_backend.engine.socketio.connects import Authenticate, Connects, OnConnect
from pnl_backend.engine.socketio.dispatch import NOT_HANDLED, call, dispatch
from pnl_backend.engine.socketio.rooms import CONNECTED, Member

if TYPE_CHECKING:
    from pnl_backend.engine.server import Server


class Protocol:
    """Packets of all clients: events, acknowledgements, disconnects, and what the application answers."""

    def __init__(
        self, server: "Server", config: EngineConfig, authenticate: Authenticate | None, on_connect: OnConnect | None
    ) -> None:
        self.server = server
        self.config = config
        self.eio = server.eio
        self.manager = server.manager
        self.connects = Connects(self, authenticate, on_connect)
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
            self.eio.spawn(self._all_left(client, members, reason))
        else:
            self.server.environ.pop(client.sid, None)

    async def _all_left(self, client: Client, members: list[Member], reason: str) -> None:
        for member in members:
            await self.run_disconnect(member, reason)
        self.server.environ.pop(client.sid, None)

    async def run_disconnect(self, member: Member, reason: str) -> None:
        """Run the disconnect handler while the member still has its rooms, then take it out."""
        try:
            await dispatch(self.server, "disconnect", member.namespace, member.sid, reason)
        except Exception as error:
            self.failed("disconnect", error)
        self.manager.leave(member)

    # Packets.

    @staticmethod
    def _member(client: Client, namespace: str) -> Member | None:
        member = client.members.get(namespace)
        return member if member is not None and member.state == CONNECTED else None

    def _take(self, client: Client, packet: events.Packet) -> None:
        if packet.kind == events.CONNECT:
            if self.connects.known(packet):
                self._enlist(client)
                self.eio.spawn(self._connecting(client, packet))
            else:
                self.connects.unknown(client, packet)
            return
        member = self._member(client, packet.namespace)
        if member is None:
            raise ProtocolError("not connected to the namespace")
        if packet.kind in (events.EVENT, events.BINARY_EVENT):
            self._enlist(client)
            self.eio.spawn(self._event(client, member, packet))
        elif packet.kind == events.DISCONNECT:
            member.depart()
            self.eio.spawn(self.leave(client, member))
        else:
            callback = (member.callbacks or {}).pop(packet.id or 0, None)
            if callback is not None:
                self.eio.spawn(self._acknowledged(callback, packet.data))

    async def _connecting(self, client: Client, packet: events.Packet) -> None:
        try:
            await self.connects.connect(client, packet.namespace, packet.data)
        finally:
            self._discharge(client)

    async def _event(self, client: Client, member: Member, packet: events.Packet) -> None:
        """Run an event's handler and acknowledge with what it returns."""
        member = self._member(client, member.namespace) or member  # a CONNECT in between makes another one
        try:
            name, *arguments = packet.data
            result = await dispatch(self.server, events.event_name(name), member.namespace, member.sid, *arguments)
        except Exception as error:
            self.failed(str(packet.data[0]), error)
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
            self.failed("acknowledgement", error)

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

    async def leave(self, client: Client, member: Member) -> None:
        """Run the disconnect handler of a member that has left on its client's own wish, and take it out."""
        await self.run_disconnect(member, self.server.reason.CLIENT_DISCONNECT)
        self.idle(client)

    def idle(self, client: Client) -> None:
        """A client without any namespace has the connect timeout to find one."""
        if client.state == OPEN and not client.members:
            self.eio.unconnected.add(client)

    def failed(self, what: str, error: Exception) -> None:
        """Log the first failure of each handler with its trace; count them all."""
        self.eio.wiring.counters.handler_errors += 1
        if what not in self._logged and len(self._logged) < 100:
            self._logged.add(what)
            logger.opt(exception=error).error("The handler of {!r} failed; further failures are counted", what[:80])
