"""Socket.IO: namespaces, greetings, subscriptions and recovery over the hub, as the wire contract has them.

A client is greeted, and in a topic's namespace subscribed, by the plan of its connection: both travel right behind the
CONNECT answer, without a task or a handler for each connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import socketio
from loguru import logger

from pnl_backend.domain.times import iso
from pnl_backend.engine import CONNECTED, LEAVING, ConnectPlan, ConnectRequest, EncodedJson, Message
from pnl_backend.stream.channels import Channel, ChannelGroup
from pnl_backend.stream.hub import Hub, Publication
from pnl_backend.stream.inbound import Budget, parse_since
from pnl_backend.stream.limits import LONGEST_NAME
from pnl_backend.stream.recovery import Offset, Seal, wants_offsets
from pnl_backend.stream.topics import Topic, as_text
from pnl_backend.wire.refusals import BadRequest
from pnl_backend.wire.socket_messages import ConnectSuccess, ErrorMessage, RefusedAck, StreamError, UnsubscribeAck

GREETING = "Connected to P&L streaming server"
STREAM_ERROR = "Error updating P&L metrics"
Replay = list[Message | tuple[str, Any]]
Acknowledgement = EncodedJson | Awaitable[EncodedJson]


class RefusedEvent(Exception):
    """A message that is answered with an `error`."""

    def __init__(self, code: str, message: str, *, disconnects: bool = False) -> None:
        """`disconnects`: the sender is not sent the `error`, its connection to the namespace ends."""
        self.code = code
        self.disconnects = disconnects
        super().__init__(message)


class FeedNamespace(socketio.AsyncNamespace):
    """Subscriptions by event. Of the payloads the first counts, what it does not mean is ignored.

    An unknown event is answered only where an acknowledgement is requested: old clients show every `error`.
    """

    def __init__(self, group: ChannelGroup) -> None:
        super().__init__(group.namespace)  # type: ignore[no-untyped-call]  # python-socketio has no annotations
        self._group = group
        self._budgets: dict[str, Budget] = {}
        self._handlers: dict[str, Callable[[str, object], Acknowledgement]] = {}
        for channel in group.channels:
            self._handlers[f"subscribe_{channel.topic.name}"] = self._subscriber(channel)
            self._handlers[f"unsubscribe_{channel.topic.name}"] = self._unsubscriber(channel)

    def trigger_event(self, event: str, *args: Any) -> Any:
        """Every packet of this namespace comes through here; what it returns is the acknowledgement.

        A plain function, because most events are handled without waiting: the engine awaits what is awaitable.
        """
        sid = args[0]
        if event == "connect":
            return None
        if event == "disconnect":
            return self._forget(sid)
        try:
            self._spend(sid)
            return self._handle(sid, event, args[1:])
        except RefusedEvent as refusal:
            if refusal.disconnects:
                return self._disconnect(sid, refusal)
            self._group.send(sid, "error", as_text(ErrorMessage(str(refusal), refusal.code)))
            return _refused(refusal)

    def _handle(self, sid: str, event: object, payloads: tuple[Any, ...]) -> Acknowledgement:
        handler = self._handlers.get(event) if isinstance(event, str) else None
        if handler is None:
            self._group.server.count_unknown_event()
            return _refused(RefusedEvent("unknown_event", f"Unknown event: {str(event)[:LONGEST_NAME]}"))
        try:
            return handler(sid, payloads[0] if payloads else None)
        except BadRequest as error:
            raise RefusedEvent("bad_payload", f"{event}: {error}") from error

    def _spend(self, sid: str) -> None:
        budget = self._budgets.get(sid)
        if budget is None:
            budget = self._budgets[sid] = Budget()
        if not budget.spend():
            raise RefusedEvent("rate_limited", "Too many messages", disconnects=budget.exhausted)

    async def _disconnect(self, sid: str, refusal: RefusedEvent) -> EncodedJson:
        logger.debug("socket {} was closed: it went on sending above the rate limit", sid)
        await self._group.server.disconnect(sid, namespace=self.namespace)
        return _refused(refusal)

    async def _forget(self, sid: str) -> None:
        """Async, because python-socketio's own `disconnect()` triggers the event too, and awaits it."""
        self._budgets.pop(sid, None)
        for channel in self._group.channels:
            channel.forget(sid)

    def _subscriber(self, channel: Channel) -> Callable[[str, object], Acknowledgement]:
        return lambda sid, payload: channel.subscribe(sid, parse_since(payload))

    def _unsubscriber(self, channel: Channel) -> Callable[[str, object], Acknowledgement]:
        def unsubscribe(sid: str, payload: object) -> EncodedJson:  # noqa: ARG001 - old clients may send one
            if channel.leave(sid):
                self._group.tell_rooms(sid)
            return as_text(UnsubscribeAck(True))

        return unsubscribe


def _refused(refusal: RefusedEvent) -> EncodedJson:
    """The acknowledgement of what was not done."""
    return as_text(RefusedAck(str(refusal), refusal.code))


class SocketFeed:
    """The hub's Socket.IO sink, and what plans its connections."""

    def __init__(
        self,
        hub: Hub,
        topics: Sequence[Topic],
        *,
        secret: bytes,
        window: float = 120.0,
        broadcast: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`broadcast` names topics that go to every socket unasked; `window` in seconds, 0 recovers nothing."""
        self._hub = hub
        self._topics = topics
        self._seal = Seal(secret) if window > 0 else None
        self._window = window
        self._broadcast = broadcast
        self._clock = clock
        self._groups: dict[str, ChannelGroup] = {}
        self._subscribed: dict[str, list[Channel]] = {}
        self._turn = asyncio.Lock()

    def replace_secret(self, secret: bytes) -> None:
        """Seal with this from now on; what was sealed with another secret is not recognised any more."""
        self._seal = Seal(secret) if self._window > 0 else None

    def mount(self, server: Any) -> None:
        """Register the default namespace and one for each topic."""
        self._server = server  # python-socketio's methods have no annotations
        self._groups["/"] = ChannelGroup(self._server, self._hub, "/", self._topics, self._topics)
        for topic in self._topics:
            self._groups[f"/{topic.name}"] = ChannelGroup(
                self._server, self._hub, f"/{topic.name}", [topic], self._topics
            )
        for namespace, group in self._groups.items():
            self._server.register_namespace(FeedNamespace(group))
            unasked = [c for c in group.channels if namespace != "/" or c.topic.name in self._broadcast]
            self._subscribed[namespace] = unasked

    async def publish(self, publication: Publication) -> None:
        async with self._turn:
            for group in self._groups.values():
                for channel in group.channels:
                    await channel.publish(publication)

    async def stream_error(self) -> None:
        message = as_text(StreamError(STREAM_ERROR, iso(int(self._clock() * 1000))))
        for namespace in self._groups:
            await self._server.emit("stream_error", message, namespace=namespace)

    def plan(self, request: ConnectRequest) -> ConnectPlan | Coroutine[Any, Any, ConnectPlan]:
        """How to take a client in: as the one it was before a cut, or as a new one."""
        if self._seal is None or not wants_offsets(request.auth, request.environ):
            return self._fresh(request, None)
        if isinstance(request.auth, dict) and "pid" in request.auth:
            sid = self._seal.sid(request.auth["pid"], namespace=request.namespace, key=request.key)
            seen = Offset.parse(request.auth.get("offset"))
            if sid is not None and seen is not None:
                return self._again(request, self._seal, sid, seen)
        return self._fresh(request, self._seal)

    def _fresh(self, request: ConnectRequest, seal: Seal | None) -> ConnectPlan:
        group, subscribed = self._groups[request.namespace], self._subscribed[request.namespace]
        rooms = [channel.room for channel in subscribed]
        sid = self._server.eio.generate_id()
        if seal is None:
            greeting = self._greeting(request, sid)
            return ConnectPlan(sid=sid, rooms=rooms, replay=[greeting, *(c.initial(None) for c in subscribed)])
        variant = group.variant(rooms)
        offset = group.offset_of(variant - 1)
        greeting = self._greeting(request, sid, group.offset_of(0))
        replay: Replay = [greeting, *(channel.initial(offset) for channel in subscribed)]
        payload = {"pid": seal.pid(sid, namespace=request.namespace, key=request.key)}
        return ConnectPlan(sid=sid, rooms=rooms, payload=payload, variant=variant, replay=replay)

    async def _again(self, request: ConnectRequest, seal: Seal, sid: str, seen: Offset) -> ConnectPlan:
        """The same socket once more, with what it missed; a new one where that is not held or too long ago."""
        group = self._groups[request.namespace]
        if not await self._recoverable(group, seen):
            return self._fresh(request, seal)
        if not await self._replaces(request, group.member(sid)):
            return self._fresh(request, seal)
        return ConnectPlan(
            sid=sid,
            payload={"pid": seal.pid(sid, namespace=request.namespace, key=request.key)},
            variant=group.variant(()),
            replay=[self._greeting(request, sid, seen)],
            admitted=lambda member: group.recover(member, seen),
        )

    async def _replaces(self, request: ConnectRequest, former: Any) -> bool:
        """Whether a client may have the sid of its former socket, which is disconnected from this namespace alone.

        Not where the former socket belongs to the client that asks, for that one was not cut, or is connecting itself.
        """
        if former is None or former.state == LEAVING:
            return True
        if former.client.environ is request.environ or former.state != CONNECTED:
            return False
        await self._server.disconnect(former.sid, namespace=request.namespace)
        return True

    async def _recoverable(self, group: ChannelGroup, seen: Offset) -> bool:
        """Whether what a client missed is held, and the newest update when it was cut is no older than the window."""
        if not seen.cursors.keys() <= {channel.letter for channel in group.channels}:
            return False
        newest = await self._hub.page(seen.epoch, seen.newest - 1, limit=1)
        if not newest or self._age(newest[0]) > self._window:
            return False
        return await self._hub.holds(seen.epoch, min(seen.cursors.values(), default=seen.newest))

    def _age(self, publication: Publication) -> float:
        """Seconds since it was published: by the monotonic clock where this process did, else by the wall clock."""
        if publication.published is not None:
            return time.monotonic() - publication.published
        return self._clock() - publication.record.at / 1000

    def _greeting(self, request: ConnectRequest, sid: str, offset: Offset | None = None) -> tuple[str, Any]:
        transport: Any = request.environ.query.get("transport", "polling")
        greeting = as_text(ConnectSuccess(GREETING, sid, iso(int(self._clock() * 1000)), transport))
        return "connect_success", (greeting,) if offset is None else (greeting, str(offset))
