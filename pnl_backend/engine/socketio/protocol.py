"""Socket.IO v5: packets of connected clients, and what becomes of them; `connects.py` has the way in.

https://socket.io/docs/v4/socket-io-protocol/
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import socketio

from pnl_backend.engine.limits import AT_ONCE
from pnl_backend.engine.net.messages import ProtocolError
from pnl_backend.engine.socketio import packets
from pnl_backend.engine.socketio.clients import CONNECTED, Client, Member
from pnl_backend.engine.socketio.connects import Authenticate, Connects, OnConnect
from pnl_backend.engine.socketio.handlers import NOT_HANDLED, Handlers, call
from pnl_backend.engine.socketio.rooms import Rooms


class SocketProtocol:
    """Packets of all clients: events, acknowledgements, disconnects, and what the application answers."""

    def __init__(
        self,
        server: socketio.AsyncServer,
        manager: Rooms,
        authenticate: Authenticate | None,
        on_connect: OnConnect | None,
    ) -> None:
        self.server = server
        self.eio = manager.eio
        self.config = manager.eio.config
        self.manager = manager
        self.handlers = Handlers(server, manager)
        self.connects = Connects(self.handlers, authenticate, on_connect)

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
            packet = packets.decode(
                data, max_attachments=self.config.max_attachments, max_depth=self.config.max_json_depth
            )
            if packet.kind != packets.CONNECT and self._member(client, packet.namespace) is None:
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
            await self.handlers.run_disconnect(member, reason)
        self.server.environ.pop(client.sid, None)

    # Packets.

    @staticmethod
    def _member(client: Client, namespace: str) -> Member | None:
        member = client.members.get(namespace)
        return member if member is not None and member.state == CONNECTED else None

    def _take(self, client: Client, packet: packets.Packet) -> None:
        if packet.kind == packets.CONNECT:
            if self.handlers.known(packet.namespace):
                self._handle(client, self._connecting(client, packet))
            else:
                self.connects.unknown(client, packet)
            return
        member = self._member(client, packet.namespace)
        if member is None:
            raise ProtocolError("not connected to the namespace")
        if packet.kind in (packets.EVENT, packets.BINARY_EVENT):
            self._handle(client, self._event(client, member, packet))
        elif packet.kind == packets.DISCONNECT:
            member.depart()
            self.eio.spawn(self.handlers.leave(client, member))
        else:
            callback = (member.callbacks or {}).pop(packet.id or 0, None)
            if callback is not None:
                self.eio.spawn(self._acknowledged(callback, packet.data))

    def _handle(self, client: Client, handling: Coroutine[Any, Any, None]) -> None:
        """Handle a packet: at once where no handler of the client waits and it is the first ones of what was read."""
        at_once = not client.running and client.connection is not None and client.connection.taken <= AT_ONCE
        self._enlist(client)
        if at_once:
            self.eio.shared.tasks.run(handling)
        else:
            self.eio.spawn(handling)

    async def _connecting(self, client: Client, packet: packets.Packet) -> None:
        try:
            await self.connects.connect(client, packet.namespace, packet.data)
        finally:
            self._discharge(client)

    async def _event(self, client: Client, member: Member, packet: packets.Packet) -> None:
        """Run an event's handler and acknowledge with what it returns."""
        member = self._member(client, member.namespace) or member  # a CONNECT in between makes another one
        try:
            name, *arguments = packet.data
            result = await self.handlers.run(packets.event_name(name), member.namespace, member.sid, *arguments)
        except Exception as error:
            self.handlers.failed(str(packet.data[0]), error)
        else:
            if result is NOT_HANDLED:
                self.eio.shared.counters.unknown_events += 1
            elif packet.id is not None:
                data = [] if result is None else list(result) if isinstance(result, tuple) else [result]
                self.manager.send_to(
                    member, packets.encode_packet(packets.ACK, member.namespace, data, ack_id=packet.id)
                )
        finally:
            self._discharge(client)

    async def _acknowledged(self, callback: Callable[..., Any], data: list[Any]) -> None:
        try:
            await call(callback, tuple(data))
        except Exception as error:
            self.handlers.failed("acknowledgement", error)

    def _enlist(self, client: Client) -> None:
        """Count a handler in; too many at once stop the reading from that client."""
        client.running += 1
        if client.running < self.config.max_pending_handlers or client.backlog_done is not None:
            return
        client.backlog_done = asyncio.get_running_loop().create_future()
        if client.connection is not None:
            client.connection.pause()

    def _discharge(self, client: Client) -> None:
        """Count a handler out."""
        client.running -= 1
        if client.running < self.config.max_pending_handlers:
            self._release(client)

    @staticmethod
    def _release(client: Client) -> None:
        if client.backlog_done is not None:
            backlog_done, client.backlog_done = client.backlog_done, None
            backlog_done.set_result(None)
            if client.connection is not None:
                client.connection.resume()
