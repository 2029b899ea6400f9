"""Channels: one topic in one namespace of Socket.IO, whose subscribers get each update exactly once, in order.

A channel's `current` moves in the same step in which its broadcast takes its recipients, and a subscriber is let in
only in a step in which it has seen `current`: so nobody misses an update or sees one twice, however subscriptions and
broadcasts interleave.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pnl_backend.domain.views import Json
from pnl_backend.engine import Message, Server
from pnl_backend.engine.rooms import Rooms
from pnl_backend.stream.hub import Hub, Publication
from pnl_backend.stream.inbound import Since
from pnl_backend.stream.recovery import Offset
from pnl_backend.stream.topics import Origin, Topic

SUBSCRIPTIONS = "subscriptions"
"""An event for clients that take offsets alone."""


class Channel:
    """One topic in one namespace."""

    def __init__(self, group: ChannelGroup, topic: Topic, bit: int) -> None:
        self.topic = topic
        self.room = topic.name
        self.letter = topic.name[0]
        self.bit = bit
        self._group = group
        self._current: Publication | None = None
        self._initial: tuple[Publication, Message] | None = None
        self._replaying: dict[str, object] = {}

    @property
    def current(self) -> Publication:
        """The update that every subscriber has."""
        if self._current is None:
            self._current = self._group.hub.latest
        return self._current

    async def publish(self, publication: Publication) -> None:
        if publication.seq <= self.current.seq:
            return
        self._current = publication
        if not self._group.server.manager.anyone(self._group.namespace, self.room):
            return
        await self._group.server.broadcast(
            self.topic.event,
            self.topic.message(publication, "stream"),
            room=self.room,
            namespace=self._group.namespace,
            replace_key=self.topic.replace_key(publication),
            offset=self._group.offsets(),
        )

    async def subscribe(self, sid: str, since: Since | None) -> Json:
        """Let the socket in with what is due; answers the acknowledgement. A later call for the socket wins."""
        await self.leave(sid)
        missed = None
        if since is not None:
            turn = self._replaying[sid] = object()
            missed = await self._missed(since)
            if self._replaying.get(sid) is not turn:
                return self._acknowledgement(recovered=False)
            del self._replaying[sid]
        member = self._group.member(sid)
        if member is None:
            return self._acknowledgement(recovered=False)
        await self._group.enter(member, self)
        offset = self._group.offset(member) if member.variant else None
        due = [self.initial(offset)] if missed is None else list(self.replay(missed, offset))
        for message in due:
            self._group.server.manager.tell(member, message)
        if not due:
            self._group.tell_rooms(sid)
        return self._acknowledgement(recovered=missed is not None)

    async def _missed(self, since: Since) -> list[Publication] | None:
        """Everything after `since` up to this very step, however many updates came while older ones were read."""
        held = await self._group.hub.missed(since.epoch, since.seq)
        if held is None:
            return None
        newer = self._group.hub.after(held[-1].seq if held else since.seq)
        return None if newer is None else [*held, *newer]

    async def leave(self, sid: str) -> bool:
        """Take the socket out; whether it was in."""
        self.forget(sid)
        member = self._group.member(sid)
        if member is None or self.room not in member.rooms:
            return False
        await self._group.leave(member, self)
        return True

    def forget(self, sid: str) -> None:
        """Give up a replay that is being read for the socket."""
        self._replaying.pop(sid, None)

    def initial(self, offset: Offset | None) -> Message:
        """The current update for one who comes new; encoded once for all of them."""
        if self._initial is None or self._initial[0] is not self.current:
            self._initial = self.current, self._encode(self.current, "initial", None)
        message = self._initial[1]
        return message if offset is None else Rooms.with_argument(message, str(offset))

    def replay(self, missed: Iterable[Publication], offset: Offset | None) -> Iterable[Message]:
        """What was missed up to the current update: the broadcast of anything newer is still to come."""
        for publication in missed:
            if publication.seq <= self.current.seq:
                yield self._encode(publication, "replay", offset)

    def lacks(self, publication: Publication, offset: Offset) -> bool:
        """Whether a client that stands at `offset` is still owed this update."""
        return offset.cursors[self.letter] < publication.seq <= self.current.seq

    def replayed(self, publication: Publication, offset: Offset) -> tuple[Message, Offset]:
        """One update for a client that is recovered, and where it then stands."""
        cursors = {**offset.cursors, self.letter: publication.seq}
        level = Offset(offset.epoch, max(offset.newest, publication.seq), cursors)
        return self._encode(publication, "replay", level), level

    def _encode(self, publication: Publication, source: Origin, offset: Offset | None) -> Message:
        arguments: tuple[Any, ...] = (self.topic.message(publication, source),)
        if offset is not None:
            # Cut in the middle of a replay, the client says how far it came.
            cursors = {**offset.cursors, self.letter: publication.seq}
            arguments += (str(Offset(offset.epoch, offset.newest, cursors)),)
        encoded: Message = self._group.server.manager.encode(self.topic.event, arguments, self._group.namespace)
        return encoded

    def _acknowledgement(self, *, recovered: bool) -> Json:
        return {"ok": True, "epoch": self.current.record.epoch, "seq": self.current.seq, "recovered": recovered}


class ChannelGroup:
    """The channels of one namespace; a member's variant says whether it takes offsets, and which rooms it is in.

    Variant 0 takes none; 1 and more is one above the sum of the bits of its rooms.
    """

    def __init__(self, server: Server, hub: Hub, namespace: str, topics: Sequence[Topic], all_topics: Sequence[Topic]):
        self.server: Any = server  # python-socketio's methods have no annotations
        self.hub = hub
        self.namespace = namespace
        self.channels = [Channel(self, topic, 1 << all_topics.index(topic)) for topic in topics]
        self._masks = 1 << len(all_topics)

    def member(self, sid: str) -> Any:
        return self.server.manager.find(sid, self.namespace)

    async def enter(self, member: Any, channel: Channel) -> None:
        await self.server.enter_room(member.sid, channel.room, namespace=self.namespace)
        self._tune(member)

    async def leave(self, member: Any, channel: Channel) -> None:
        await self.server.leave_room(member.sid, channel.room, namespace=self.namespace)
        self._tune(member)

    def variant(self, rooms: Iterable[str]) -> int:
        """The variant of a member with offsets in these rooms."""
        names = set(rooms)
        return 1 + sum(channel.bit for channel in self.channels if channel.room in names)

    def offset(self, member: Any) -> Offset:
        """Where a member with offsets stands: level with every channel that it is in."""
        return self.offset_of(member.variant - 1)

    def offset_of(self, mask: int) -> Offset:
        cursors = {channel.letter: channel.current.seq for channel in self.channels if channel.bit & mask}
        newest = max(channel.current.seq for channel in self.channels)
        return Offset(self.hub.latest.record.epoch, newest, cursors)

    def offsets(self) -> list[str]:
        """Where members stand when a broadcast reaches them, for each variant from 1 on."""
        return [str(self.offset_of(mask)) for mask in range(self._masks)]

    def tell_rooms(self, sid: str) -> None:
        """Where no update says that a member's rooms changed, let it have the offset that does."""
        member = self.member(sid)
        if member is not None and member.variant:
            topics = [channel.room for channel in self.channels if channel.room in member.rooms]
            arguments = ({"topics": topics}, str(self.offset(member)))
            self.server.manager.tell(member, self.server.manager.encode(SUBSCRIPTIONS, arguments, self.namespace))

    def _tune(self, member: Any) -> None:
        if member.variant:
            member.variant = self.variant(member.rooms)
