"""Members of namespaces and rooms: python-socketio's client manager, made for fan-out.

Where python-socketio's own scans every room of a namespace when one client leaves, a member here knows its rooms.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pnl_backend.engine.limits import VARIANTS
from pnl_backend.engine.net.messages import Message
from pnl_backend.engine.socketio.clients import CONNECTED, LEAVING, Client, Member
from pnl_backend.engine.socketio.engine import SocketEngine
from pnl_backend.engine.socketio.fanout import Broadcast
from pnl_backend.engine.socketio.packets import EVENT, encode_packet

Room = str | Sequence[str] | None


class Rooms:
    """Members by namespace and room; emits to any of them. python-socketio calls this its manager."""

    eio: SocketEngine

    def __init__(self) -> None:
        self.members: dict[str, dict[str, Member]] = {}
        self._rooms: dict[str, dict[str, dict[str, Member]]] = {}
        self._ack_id = 0

    # Members.

    def enter(self, client: Client, namespace: str, sid: str, rooms: Iterable[str] = ()) -> Member:
        """A new member, pending until its CONNECT is answered; until then a former one of the client goes on."""
        member = Member(sid, namespace, client)
        self.members.setdefault(namespace, {})[sid] = member
        former = client.members.get(namespace)
        if former is None or former.state == LEAVING:
            client.members[namespace] = member
        for room in rooms:
            self.join(member, room)
        return member

    def leave(self, member: Member) -> None:
        """Take a member out of everything."""
        for room in member.rooms:
            self._part(member, room)
        member.rooms = ()
        members = self.members.get(member.namespace, {})
        if members.get(member.sid) is member:
            del members[member.sid]
        if member.client.members.get(member.namespace) is member:
            del member.client.members[member.namespace]
        member.connection = None

    def find(self, sid: str, namespace: str) -> Member | None:
        return self.members.get(namespace, {}).get(sid)

    def audience(self, namespace: str, room: Room = None, skip: Any = None) -> list[Member]:
        """Those a broadcast to a room, to several, to a sid or to all (None) is for."""
        members = self.members.get(namespace, {})
        if room is None:
            found = members
        elif isinstance(room, str):
            found = self._room(namespace, room)
        else:
            found = {sid: member for name in room for sid, member in self._room(namespace, name).items()}
        if not skip:
            return list(found.values())
        skipped = {skip} if isinstance(skip, str) else set(skip)
        return [member for sid, member in found.items() if sid not in skipped]

    def anyone(self, namespace: str, room: str) -> bool:
        """Whether a broadcast to a room has anybody to go to: what nobody gets need not be made."""
        return bool(self._room(namespace, room))

    def _room(self, namespace: str, room: str) -> dict[str, Member]:
        found = self._rooms.get(namespace, {}).get(room)
        if found is not None:
            return found
        member = self.members.get(namespace, {}).get(room)
        return {} if member is None else {room: member}

    def join(self, member: Member, room: str) -> None:
        """Let a member into a room, which is no member's sid."""
        if room not in member.rooms and room != member.sid:
            member.rooms = (*member.rooms, room)
            self._rooms.setdefault(member.namespace, {}).setdefault(room, {})[member.sid] = member

    def part(self, member: Member, room: str) -> None:
        """Take a member out of a room, if it is in it."""
        if room in member.rooms:
            self._part(member, room)
            member.rooms = tuple(name for name in member.rooms if name != room)

    def _part(self, member: Member, room: str) -> None:
        rooms = self._rooms.get(member.namespace, {})
        found = rooms.get(room, {})
        if found.get(member.sid) is member:
            del found[member.sid]
            if not found:
                del rooms[room]

    # What python-socketio calls on its manager.

    def set_server(self, server: Any) -> None:
        self.eio = server.eio

    def initialize(self) -> None:
        """Nothing to prepare."""

    def get_namespaces(self) -> Iterable[str]:
        return self.members.keys()

    def get_participants(self, namespace: str, room: Room) -> Iterator[tuple[str, str]]:
        return iter([(member.sid, member.client.sid) for member in self.audience(namespace, room)])

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        member = self.find(sid, namespace)
        return [] if member is None else [sid, *member.rooms]

    def is_connected(self, sid: str, namespace: str) -> bool:
        member = self.find(sid, namespace)
        return member is not None and member.state == CONNECTED

    async def can_disconnect(self, sid: str, namespace: str) -> bool:
        return self.is_connected(sid, namespace)

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        client = self.eio.sessions.get(eio_sid)
        member = client.members.get(namespace) if client is not None else None
        return None if member is None else member.sid

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        member = self.find(sid, namespace)
        return None if member is None else member.client.sid

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        member = self.find(sid, namespace)
        if member is None:
            return None
        member.depart()
        return member.client.sid

    async def disconnect(self, sid: str, namespace: str, **_: Any) -> None:
        member = self.find(sid, namespace)
        if member is not None:
            self.leave(member)
            self.eio.idle(member.client)

    async def enter_room(self, sid: str, namespace: str, room: str, eio_sid: str | None = None) -> None:  # noqa: ARG002 - the base's signature
        member = self.find(sid, namespace)
        if member is None:
            raise ValueError("sid is not connected to requested namespace")
        if room in self.members[namespace]:
            raise ValueError("cannot enter a sid room")
        self.join(member, room)

    async def leave_room(self, sid: str, namespace: str, room: str) -> None:
        member = self.find(sid, namespace)
        if member is not None:
            self.part(member, room)

    async def close_room(self, room: str, namespace: str) -> None:
        if room in self.members.get(namespace, {}):
            raise ValueError("cannot close a sid room")
        for member in self.audience(namespace, room):
            await self.leave_room(member.sid, namespace, room)

    async def emit(  # noqa: PLR0917 - python-socketio's signature
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Room = None,
        skip_sid: Any = None,
        callback: Callable[..., Any] | None = None,
        to: Room = None,
        **_: Any,
    ) -> None:
        audience = self.audience(namespace, to or room, skip_sid)
        if callback is not None:
            for member in audience:
                self.send_to(member, self.encode(event, data, namespace, ack_id=self._expect(member, callback)))
        elif len(audience) == 1:
            self.send_to(audience[0], self.encode(event, data, namespace))
        elif audience:
            await self.finish(self.eio.fanout.publish(audience, [self.encode(event, data, namespace)] * VARIANTS))

    @staticmethod
    async def finish(broadcast: Broadcast) -> None:
        """Wait until everybody had it; the broadcast goes on when the waiting is given up."""
        if broadcast.done is not None:
            await broadcast.done

    def send_to(self, member: Member, message: Message) -> None:
        """Send to one member, or to the one that replaced it, behind whatever broadcasts owe its client."""
        if member.replaced:
            member = member.client.members.get(member.namespace, member)
        self.eio.settle(member.client)
        self.eio.shared.counters.messages_sent += 1
        member.deliver(message)

    def encode(
        self, event: str, data: Any, namespace: str, *, ack_id: int | None = None, key: str | None = None
    ) -> Message:
        """One event as python-socketio's encoder writes it."""
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        return encode_packet(EVENT, namespace, [event, *arguments], ack_id=ack_id, key=key)

    def _expect(self, member: Member, callback: Callable[..., Any]) -> int:
        if member.callbacks is None:
            member.callbacks = {}
        self._ack_id += 1
        member.callbacks[self._ack_id] = callback
        return self._ack_id

    async def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:  # noqa: A002 - python-socketio's name
        for member in [members[sid] for members in self.members.values() if sid in members]:
            callback = (member.callbacks or {}).pop(id, None)
            result = callback(*data) if callback is not None else None
            if inspect.isawaitable(result):
                await result
