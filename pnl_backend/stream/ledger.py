"""The ledger feed: a snapshot first, then deltas, and a snapshot again every minute and where a delta would not fit.

A delta applies to the message before it: its `prevSeq` is the seq that the client holds. While nothing changes by a
cent nothing is sent, so clients that came at different times hold different seqs of the same sums; each such group gets
the delta with its own `prevSeq`, encoded once for the group.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from pnl_backend.domain.delta import Delta, diff
from pnl_backend.engine import FeedConnection, Message, Server
from pnl_backend.stream.hub import Hub, Publication
from pnl_backend.stream.limits import KEY_FRAME, KEY_FRAME_SLACK
from pnl_backend.wire.ledger_feed import DeltaEvent, DeltaMessage, SnapshotEvent, SnapshotMessage, ledger_delta
from pnl_backend.wire.message import UNSET, as_model, encode, raw
from pnl_backend.wire.socket_messages import Since
from pnl_backend.wire.views import marks_view

Followers = dict[FeedConnection, None]


class LedgerFeed:
    """The hub's sink for the ledger feed; WebSockets and event streams join and leave it alike."""

    def __init__(
        self,
        server: Server,
        hub: Hub,
        *,
        key_frame: float = KEY_FRAME,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._hub = hub
        self._key_frame = key_frame
        self._monotonic = monotonic
        self._framed = monotonic()
        self._base: Publication | None = None
        self._followers: dict[int, Followers] = {}
        """Who holds which seq; those below the newest all hold its sums."""
        self._snapshot: tuple[Publication, Message] | None = None

    def join(self, connection: FeedConnection) -> None:
        """Send the newest snapshot and what follows it from now on."""
        newest = self._hub.latest
        connection.send(self._snapshot_of(newest))
        self._follow(connection, newest.seq)

    async def resume(self, connection: FeedConnection, since: Since) -> None:
        """Send the deltas after what the client saw last, or a snapshot where they are not held.

        They are read page by page as the client takes them; it joins the others when it is level with them.
        """
        epoch, cursor = since.epoch, since.seq - 1
        held: Publication | None = None
        page = await self._hub.page(epoch, cursor) if await self._hub.holds(epoch, cursor) else None
        if page and page[0].seq != since.seq:  # a number that was left out, though it may have been published
            page = None
        while page is not None:
            for publication in page:
                held = await self._step(connection, held, publication)
                cursor = publication.seq
            if not connection.open:
                return
            if held is not None and cursor == self._hub.latest.seq:
                self._follow(connection, held.seq)
                return
            await asyncio.sleep(0)
            page = await self._hub.page(epoch, cursor) if held is not None else None
        if connection.open:
            self.join(connection)

    async def _step(
        self, connection: FeedConnection, held: Publication | None, publication: Publication
    ) -> Publication:
        """Send what changed since `held`, if anything did; what the client then holds."""
        if held is None:
            return publication
        delta = diff(held.sums, publication.sums)
        if delta.is_empty and _beside(held) == _beside(publication):
            return held
        if await connection.writable():
            whole = delta.is_empty
            connection.send(self._snapshot_of(publication) if whole else _delta_message(delta, held, publication))
        return publication

    def leave(self, connection: FeedConnection) -> None:
        for held, followers in self._followers.items():
            if connection in followers:
                del followers[connection]
                if not followers:
                    del self._followers[held]
                return

    async def publish(self, publication: Publication) -> None:
        previous, self._base = self._base, publication
        now = self._monotonic()
        delta: Delta | None = None
        if (
            previous is not None
            and (previous.record.epoch, previous.seq + 1) == (publication.record.epoch, publication.seq)
            and now - self._framed < self._key_frame - KEY_FRAME_SLACK
        ):
            delta = diff(previous.sums, publication.sums)
            if delta.is_empty and _beside(previous) == _beside(publication):
                return
            if delta.is_empty:  # only a mark or a count changed, and a delta means that a figure did
                delta = None
        else:
            self._framed = now
        groups = {held: self._followers.pop(held) for held in list(self._followers) if held < publication.seq}
        if not groups:
            return
        snapshot = self._snapshot_of(publication)
        joined = self._followers.setdefault(publication.seq, {})
        sent = []
        for held, followers in groups.items():
            joined.update(followers)
            message = snapshot
            if delta is not None and previous is not None:
                message = _delta_message(replace(delta, prev_seq=held), previous, publication)
            sent.append(self._server.publish(list(followers), message, behind=snapshot))
        for broadcast in sent:
            if broadcast.done is not None:
                await broadcast.done

    async def stream_error(self) -> None:
        """This feed has no message for it: clients keep the figures that they have."""

    def _follow(self, connection: FeedConnection, held: int) -> None:
        self._followers.setdefault(held, {})[connection] = None

    def _snapshot_of(self, publication: Publication) -> Message:
        if self._snapshot is None or self._snapshot[0] is not publication:
            data = publication.ledger_json
            message = _LedgerMessage(publication, data, SnapshotMessage, SnapshotEvent, replace_key="ledger")
            self._snapshot = publication, message
        return self._snapshot[1]


def _beside(publication: Publication) -> tuple[object, ...]:
    """What a message holds beside its figures, marks and counts; a change of it is sent at once."""
    return (*marks_view(publication.snapshot), publication.ledger.components)


def event_id(publication: Publication) -> str:
    """An event's id in event streams: its epoch and sequence number."""
    return f"{publication.record.epoch}-{publication.seq}"


def parse_event_id(text: str) -> Since | None:
    """The place that a `Last-Event-ID` names; None for what is none of ours."""
    epoch, _, seq = text.rpartition("-")
    if not epoch or len(text) > 64 or not (seq.isascii() and seq.isdigit()):
        return None
    return Since(epoch, int(seq))


def _delta_message(delta: Delta, before: Publication, publication: Publication) -> Message:
    counts = publication.ledger.components
    changed = UNSET if counts == before.ledger.components else counts
    data = encode(ledger_delta(delta, publication.sums, publication.snapshot, changed))
    return _LedgerMessage(publication, data, DeltaMessage, DeltaEvent)


class _LedgerMessage(Message):
    """The envelope as text; as an event it has the ledger's fields beside it, for pages that take it for the ledger."""

    __slots__ = ("_data", "_event_model", "_publication")

    def __init__(
        self,
        publication: Publication,
        data: bytes,
        model: type[SnapshotMessage | DeltaMessage],
        event_model: type[SnapshotEvent | DeltaEvent],
        *,
        replace_key: str | None = None,
    ) -> None:
        self._publication = publication
        self._data = data
        self._event_model = event_model
        text = encode(model(raw(data), publication.record.at)).decode()
        super().__init__((text,), key=replace_key, event_id=event_id(publication))

    @property
    def event(self) -> bytes:
        if self._event is None:
            whole = encode(as_model(self._publication.ledger, self._event_model, data=raw(self._data)))
            self._event = b"id: %b\ndata: %b\n\n" % (str(self.event_id).encode(), whole)
        return self._event
