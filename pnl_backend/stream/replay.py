"""Replays: what a socket missed, sent page by page as fast as the socket takes it, in front of anything newer.

While a replay lasts its channels send the socket no broadcasts: what is published meanwhile is read like the rest. The
socket joins their rooms in the step in which it has what every subscriber has, so nothing is lost or sent twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

from loguru import logger

from pnl_backend.engine import CONNECTED, Member, Message, closes
from pnl_backend.stream.hub import Hub, Publication
from pnl_backend.stream.recovery import Offset
from pnl_backend.wire.socket_messages import Origin


class ReplayedChannel(Hashable, Protocol):
    """A channel as its replays use it."""

    letter: str
    room: str

    @property
    def current(self) -> Publication: ...

    async def reached(self, seq: int) -> None: ...

    def begin(self, member: Member) -> None: ...

    def encode(self, publication: Publication, source: Origin, offset: Offset | None) -> Message: ...


class ReplayingGroup(Protocol):
    """The channels of a namespace as a replay uses them."""

    hub: Hub
    server: Any

    @property
    def channels(self) -> Sequence[ReplayedChannel]: ...

    def enter(self, member: Member, channel: ReplayedChannel) -> None: ...

    def offset_at(self, cursors: Mapping[str, int]) -> Offset: ...

    def tell_rooms(self, sid: str) -> None: ...

    def finished(self, replay: Replay) -> None: ...


class Replay:
    """One socket's replay of one or more channels of its namespace."""

    def __init__(self, group: ReplayingGroup, member: Member, epoch: str, *, recovery: bool = False) -> None:
        """`recovery`: by the client's CONNECT answer nothing is missing."""
        self.member = member
        self._group = group
        self._epoch = epoch
        self._recovery = recovery
        self._cursors: dict[ReplayedChannel, int] = {}
        """The last seq that the client has of each channel."""
        self._results: dict[ReplayedChannel, asyncio.Future[bool]] = {}
        self._offset_sent = recovery
        """Whether the last offset that the client was sent names exactly these channels."""

    @property
    def active(self) -> bool:
        """Whether the socket is still there to be sent something."""
        return self.member.state == CONNECTED

    @property
    def channels(self) -> list[ReplayedChannel]:
        return list(self._cursors)

    def offset(self) -> Offset:
        """The last update that was sent to the client."""
        return self._group.offset_at({channel.letter: seq for channel, seq in self._cursors.items()})

    def add(self, channel: ReplayedChannel, seq: int) -> asyncio.Future[bool]:
        """Replay a channel after `seq`; the future's result is whether all of it was sent."""
        self.drop(channel)
        self._cursors[channel] = seq
        self._offset_sent = False
        result = self._results[channel] = asyncio.get_running_loop().create_future()
        return result

    def follow(self, channel: ReplayedChannel, seq: int) -> None:
        """Go on with a channel of which the client has `seq`, without a result that anybody waits for."""
        self._cursors[channel] = seq

    def drop(self, channel: ReplayedChannel) -> bool:
        """Leave a channel out; whether it was in."""
        self._settle(channel, whole=False)
        return self._cursors.pop(channel, None) is not None

    async def run(self) -> None:
        """Send pages until the client is level with its channels, has gone, or what it needs is not held."""
        try:
            while self._cursors and await self._ready():
                for channel, seq in list(self._cursors.items()):
                    await channel.reached(seq)
                if not self.active or not self._cursors:
                    return
                if all(seq == channel.current.seq for channel, seq in self._cursors.items()):
                    await self._join()
                    return
                after = min(self._cursors.values())
                page = await self._group.hub.page(self._epoch, after)
                if page is None:
                    if self.active:
                        await self._lost()
                    return
                for publication in page:
                    await self._send(publication, after)
                    after = publication.seq
                await asyncio.sleep(0)
        except Exception:
            logger.exception("a replay failed")
            self.member.client.end(closes.TRANSPORT_ERROR)
        finally:
            self._group.finished(self)
            for channel in list(self._results):
                self._settle(channel, whole=False)

    async def _ready(self) -> bool:
        return await self.member.client.writable() and self.active

    async def _send(self, publication: Publication, after: int) -> None:
        """Send one publication by each channel of which it is the next; others may have been added meanwhile.

        It is the next one after the number `after`: numbers may have been left out in between.
        """
        for channel in self._group.channels:
            if (
                self._due(channel, publication, after)
                and await self._ready()
                and self._due(channel, publication, after)
            ):
                self._cursors[channel] = publication.seq
                offset = self.offset() if self.member.variant else None
                self._group.server.manager.send_to(self.member, channel.encode(publication, "replay", offset))
                self._offset_sent = True

    def _due(self, channel: ReplayedChannel, publication: Publication, after: int) -> bool:
        cursor = self._cursors.get(channel)
        return cursor is not None and after <= cursor < publication.seq <= channel.current.seq

    async def _join(self) -> None:
        """Add the socket to the rooms; without an `await`, so that no broadcast comes in between."""
        self._group.finished(self)
        for channel in self._cursors:
            self._group.enter(self.member, channel)
            self._settle(channel, whole=True)
        if not self._offset_sent:
            self._group.tell_rooms(self.member.sid)

    async def _lost(self) -> None:
        """Say that what the client needs is not held: with the newest update, or by the end of the connection.

        A recovered client relies on nothing being missing: it has to connect again, where it is not recovered.
        """
        if self._recovery:
            self.member.client.end(closes.TRANSPORT_ERROR)
            return
        self._group.finished(self)
        for channel in list(self._cursors):
            channel.begin(self.member)

    def _settle(self, channel: ReplayedChannel, *, whole: bool) -> None:
        result = self._results.pop(channel, None)
        if result is not None and not result.done():
            result.set_result(whole)
