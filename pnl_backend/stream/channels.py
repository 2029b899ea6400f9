"""Channels: one topic in one namespace of Socket.IO, whose subscribers get each update exactly once, in order.

A channel's `current` moves in the same step in which its broadcast takes its recipients, and a subscriber is let in
only in a step in which it has been sent `current`: so no client misses an update or receives one twice, however
subscriptions and broadcasts interleave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any

from pnl_backend.engine import EncodedJson, Message, Server, with_argument
from pnl_backend.stream.hub import Hub, Publication
from pnl_backend.stream.recovery import Offset
from pnl_backend.stream.replay import Replay, ReplayedChannel
from pnl_backend.stream.topics import Topic, as_text
from pnl_backend.wire.socket_messages import Origin, Since, SubscribeAck, Subscriptions

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
        self._initial: tuple[Publication, int, Message] | None = None
        self._acknowledged: tuple[Publication, EncodedJson] | None = None
        self._asking: dict[str, object] = {}
        self._moved = asyncio.Event()

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
        self._moved.set()
        self._moved.clear()
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

    def subscribe(self, sid: str, since: Since | None) -> EncodedJson | Awaitable[EncodedJson]:
        """Let the socket in with what is due; answers the acknowledgement. A later call for the socket wins."""
        self.leave(sid)
        return self._newest(sid) if since is None else self._missed(sid, since)

    def _newest(self, sid: str) -> EncodedJson:
        member = self._group.member(sid)
        if member is not None:
            self.begin(member)
        return self._acknowledgement(recovered=False)

    async def _missed(self, sid: str, since: Since) -> EncodedJson:
        turn = self._asking[sid] = object()
        held = await self._group.hub.holds(since.epoch, since.seq)
        if self._asking.get(sid) is not turn:
            return self._acknowledgement(recovered=False)
        del self._asking[sid]
        member = self._group.member(sid)
        if member is None or not held:
            return self._newest(sid)
        return self._acknowledgement(recovered=await self._group.replay(member, self, since))

    def begin(self, member: Any) -> None:
        """Let the member in with the newest update, behind a replay that it is being sent."""
        replay = self._group.replay_of(member)
        if replay is None or not member.variant:
            self._group.enter(member, self)
        else:
            replay.follow(self, self.current.seq)
        offset = self._group.offset(member) if member.variant else None
        self._group.server.manager.send_to(member, self.initial(offset))

    async def reached(self, seq: int) -> None:
        """Wait until the current update is `seq` or newer: a client may have an update that others are still sent."""
        while self.current.seq < seq:
            await self._moved.wait()

    def leave(self, sid: str) -> bool:
        """Take the socket out; whether it was in."""
        self.forget(sid)
        member = self._group.member(sid)
        if member is None:
            return False
        replay = self._group.replay_of(member)
        if replay is not None and replay.drop(self):
            return True
        if self.room not in member.rooms:
            return False
        self._group.leave(member, self)
        return True

    def forget(self, sid: str) -> None:
        """Give up a subscription that is being looked up for the socket."""
        self._asking.pop(sid, None)

    def initial(self, offset: Offset | None) -> Message:
        """The current update for one who comes new; encoded once a second for all of them."""
        current, age = self.current, self.current.age
        if self._initial is None or self._initial[:2] != (current, age):
            self._initial = current, age, self.encode(current, "initial", None)
        message = self._initial[2]
        return message if offset is None else with_argument(message, str(offset))

    def encode(self, publication: Publication, source: Origin, offset: Offset | None) -> Message:
        """An update as an event of the namespace; the offset is its reader's position after it."""
        arguments: tuple[Any, ...] = (self.topic.message(publication, source),)
        if offset is not None:
            arguments += (str(offset),)
        encoded: Message = self._group.server.manager.encode(self.topic.event, arguments, self._group.namespace)
        return encoded

    def _acknowledgement(self, *, recovered: bool) -> EncodedJson:
        """Encoded once an update for all who subscribe anew."""
        current = self.current
        if recovered:
            return as_text(SubscribeAck(True, current.record.epoch, current.seq, recovered))
        if self._acknowledged is None or self._acknowledged[0] is not current:
            self._acknowledged = current, as_text(SubscribeAck(True, current.record.epoch, current.seq, recovered))
        return self._acknowledged[1]


class ChannelGroup:
    """The channels of one namespace; a member's variant encodes whether it takes offsets, and which rooms it is in.

    Variant 0 takes none; 1 and more is one above the sum of the bits of its rooms.
    """

    def __init__(self, server: Server, hub: Hub, namespace: str, topics: Sequence[Topic], all_topics: Sequence[Topic]):
        self.server: Any = server  # python-socketio's methods have no annotations
        self.hub = hub
        self.namespace = namespace
        self.channels = [Channel(self, topic, 1 << all_topics.index(topic)) for topic in topics]
        self._masks = 1 << len(all_topics)
        self._replays: dict[str, Replay] = {}

    def member(self, sid: str) -> Any:
        return self.server.manager.find(sid, self.namespace)

    def enter(self, member: Any, channel: ReplayedChannel) -> None:
        self.server.manager.join(member, channel.room)
        self._tune(member)

    def leave(self, member: Any, channel: ReplayedChannel) -> None:
        self.server.manager.part(member, channel.room)
        self._tune(member)

    def variant(self, rooms: Iterable[str]) -> int:
        """The variant of a member with offsets in these rooms."""
        names = set(rooms)
        return 1 + sum(channel.bit for channel in self.channels if channel.room in names)

    def offset(self, member: Any) -> Offset:
        """The position of a member with offsets: up to date in every channel that it is in, or within a replay."""
        replay = self.replay_of(member)
        return self.offset_of(member.variant - 1) if replay is None else replay.offset()

    def offset_of(self, mask: int) -> Offset:
        return self.offset_at({channel.letter: channel.current.seq for channel in self.channels if channel.bit & mask})

    def offset_at(self, cursors: Mapping[str, int]) -> Offset:
        """The offset of a member that has these seqs, by topic letter."""
        newest = max([*cursors.values(), *(channel.current.seq for channel in self.channels)])
        return Offset(self.hub.latest.record.epoch, newest, cursors)

    def offsets(self) -> list[str]:
        """The position of members after a broadcast, for each variant from 1 on."""
        return [str(self.offset_of(mask)) for mask in range(self._masks)]

    def send(self, sid: str, event: str, *arguments: EncodedJson | str) -> None:
        """Send one socket an event; nothing where it has gone."""
        member = self.member(sid)
        if member is not None:
            self.server.manager.send_to(member, self.server.manager.encode(event, arguments, self.namespace))

    def tell_rooms(self, sid: str) -> None:
        """After a change of a member's rooms without an update, send it the new offset."""
        member = self.member(sid)
        if member is not None and member.variant:
            replay = self.replay_of(member)
            within = replay.channels if replay is not None else []
            topics = [c.room for c in self.channels if c.room in member.rooms or c in within]
            self.send(sid, SUBSCRIPTIONS, as_text(Subscriptions(topics)), str(self.offset(member)))

    # Replays.

    def replay_of(self, member: Any) -> Replay | None:
        """The replay that a member is being sent."""
        replay = self._replays.get(member.sid)
        return replay if replay is not None and replay.member is member else None

    def replay(self, member: Any, channel: Channel, since: Since) -> asyncio.Future[bool]:
        """Send a member what it missed of a channel; the future's result is whether that was all.

        An offset names every channel that its reader is in. So a member with offsets is sent all of them by the replay.
        """
        replay = self.replay_of(member) or self._start(Replay(self, member, since.epoch))
        if member.variant:
            self.server.eio.settle(member.client)
            for joined in [joined for joined in self.channels if joined.room in member.rooms]:
                replay.follow(joined, joined.current.seq)
                self.leave(member, joined)
        return replay.add(channel, since.seq)

    def recover(self, member: Any, seen: Offset) -> None:
        """Send a member that is recovered what it missed of the channels that it was in."""
        replay = Replay(self, member, seen.epoch, recovery=True)
        for channel in self.channels:
            if channel.letter in seen.cursors:
                replay.follow(channel, seen.cursors[channel.letter])
        self._start(replay)

    def _start(self, replay: Replay) -> Replay:
        self._replays[replay.member.sid] = replay
        self.server.eio.spawn(replay.run())
        return replay

    def finished(self, replay: Replay) -> None:
        if self._replays.get(replay.member.sid) is replay:
            del self._replays[replay.member.sid]

    def _tune(self, member: Any) -> None:
        if member.variant:
            member.variant = self.variant(member.rooms)
