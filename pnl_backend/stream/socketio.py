"""Socket.IO: namespaces, rooms and acknowledgements over the hub, as the wire contract has them.

Each (namespace, topic) is a channel. A channel's `current` moves in the same step in which its broadcast takes its
recipients, and a subscriber is let in only when it has seen `current`: so nobody misses an update or sees one twice,
however subscriptions and broadcasts interleave.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import socketio
from loguru import logger

from pnl_backend.domain.times import iso
from pnl_backend.domain.views import Json
from pnl_backend.errors import BadRequest
from pnl_backend.stream.hub import Hub, Publication
from pnl_backend.stream.inbound import Budget, Since, parse_since
from pnl_backend.stream.topics import COMPONENTS, PNL, TOPICS, Origin, Topic

GREETING = "Connected to P&L streaming server"
STREAM_ERROR = "Error updating P&L metrics"
LONGEST_NAME = 64


class Channel:
    """One topic in one namespace: who is in its room gets each update exactly once, in order."""

    def __init__(self, server: Any, hub: Hub, topic: Topic, namespace: str) -> None:
        self.topic = topic
        self.room = topic.name
        self._server = server
        self._hub = hub
        self._namespace = namespace
        self._current: Publication | None = None

    @property
    def current(self) -> Publication:
        return self._current or self._hub.latest

    async def publish(self, publication: Publication) -> None:
        self._current = publication
        await self._server.broadcast(
            self.topic.event,
            self.topic.message(publication, "stream"),
            room=self.room,
            namespace=self._namespace,
            replace_key=self.topic.name,
        )

    async def subscribe(self, sid: str, since: Since | None) -> Json:
        """Send what is due, then let the socket into the room; answers the acknowledgement."""
        await self._server.leave_room(sid, self.room, namespace=self._namespace)
        missed = None if since is None else await self._hub.missed(since.epoch, since.seq)
        recovered = missed is not None
        if since is None or missed is None:
            cursor = await self._send(sid, self.current, "initial")
        else:
            cursor = since.seq
            for publication in missed:
                if publication.seq <= self.current.seq:
                    cursor = await self._send(sid, publication, "replay")
        while cursor < self.current.seq:
            for publication in self._hub.after(cursor) or [self.current]:
                if publication.seq <= self.current.seq:
                    cursor = await self._send(sid, publication, "replay" if recovered else "stream")
        await self._server.enter_room(sid, self.room, namespace=self._namespace)
        return {"ok": True, "epoch": self.current.record.epoch, "seq": cursor, "recovered": recovered}

    async def unsubscribe(self, sid: str) -> Json:
        await self._server.leave_room(sid, self.room, namespace=self._namespace)
        return {"ok": True}

    async def _send(self, sid: str, publication: Publication, source: Origin) -> int:
        message = self.topic.message(publication, source)
        await self._server.emit(self.topic.event, message, to=sid, namespace=self._namespace)
        return publication.seq


class Refusal(Exception):
    """A message that is answered with an `error`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class FeedNamespace(socketio.AsyncNamespace):
    """The default namespace: subscriptions by event; every event gets an answer, unknown ones an `error`."""

    def __init__(self, server: Any, namespace: str, channels: list[Channel], *, clock: Callable[[], float]) -> None:
        super().__init__(namespace)  # type: ignore[no-untyped-call]  # python-socketio has no annotations
        self._io = server
        self._clock = clock
        self._budgets: dict[str, Budget] = {}
        self._handlers: dict[str, Callable[[str, object], Awaitable[Json]]] = {}
        for channel in channels:
            self._handlers[f"subscribe_{channel.topic.name}"] = self._subscriber(channel)
            self._handlers[f"unsubscribe_{channel.topic.name}"] = self._unsubscriber(channel)

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Every packet of this namespace comes through here; what it returns is the acknowledgement."""
        sid = args[0]
        if event == "connect":
            return self.connected(sid)
        if event == "disconnect":
            return self._budgets.pop(sid, None) and None
        try:
            return await self._handle(sid, event, args[1:])
        except Refusal as refusal:
            error = {"message": str(refusal), "code": refusal.code}
            await self._io.emit("error", error, to=sid, namespace=self.namespace)
            return {"ok": False, **error}

    async def _handle(self, sid: str, event: object, payloads: tuple[Any, ...]) -> Json:
        await self._spend(sid)
        handler = self._handlers.get(event) if isinstance(event, str) else None
        if handler is None:
            raise Refusal("unknown_event", f"Unknown event: {str(event)[:LONGEST_NAME]}")
        if len(payloads) > 1:
            raise Refusal("bad_payload", f"{event}: one payload at most")
        try:
            return await handler(sid, payloads[0] if payloads else None)
        except BadRequest as error:
            raise Refusal("bad_payload", f"{event}: {error}") from error

    def connected(self, sid: str) -> None:
        """Greet once the CONNECT answer is on its way, so that a client sees them in that order."""
        self._budgets[sid] = Budget()
        self._io.start_background_task(self._greet, sid)

    async def _greet(self, sid: str) -> None:
        greeting = {
            "message": GREETING,
            "clientId": sid,
            "timestamp": iso(int(self._clock() * 1000)),
            "transport": self._io.transport(sid, namespace=self.namespace),
        }
        await self._io.emit("connect_success", greeting, to=sid, namespace=self.namespace)

    async def _spend(self, sid: str) -> None:
        budget = self._budgets.get(sid)
        if budget is None or budget.spend():
            return
        if budget.exhausted:
            logger.warning("socket {} was closed: it went on sending after it was told to slow down", sid)
            await self._io.disconnect(sid, namespace=self.namespace)
        raise Refusal("rate_limited", "Too many messages")

    def _subscriber(self, channel: Channel) -> Callable[[str, object], Awaitable[Json]]:
        async def subscribe(sid: str, payload: object) -> Json:
            return await channel.subscribe(sid, parse_since(payload))

        return subscribe

    def _unsubscriber(self, channel: Channel) -> Callable[[str, object], Awaitable[Json]]:
        async def unsubscribe(sid: str, payload: object) -> Json:  # noqa: ARG001 - old clients may send one
            return await channel.unsubscribe(sid)

        return unsubscribe


class TopicNamespace(FeedNamespace):
    """A namespace that is a subscription: connecting to it subscribes at once."""

    def __init__(self, server: Any, channel: Channel, *, clock: Callable[[], float]) -> None:
        super().__init__(server, f"/{channel.topic.name}", [channel], clock=clock)
        self._channel = channel

    async def _greet(self, sid: str) -> None:
        await super()._greet(sid)
        await self._channel.subscribe(sid, None)


class SocketFeed:
    """The hub's Socket.IO sink."""

    def __init__(self, server: Any, hub: Hub, *, clock: Callable[[], float] = time.time) -> None:
        self._server = server
        self._clock = clock
        default = [Channel(server, hub, topic, "/") for topic in TOPICS]
        server.register_namespace(FeedNamespace(server, "/", default, clock=clock))
        self._channels = list(default)
        for topic in (PNL, COMPONENTS):
            channel = Channel(server, hub, topic, f"/{topic.name}")
            server.register_namespace(TopicNamespace(server, channel, clock=clock))
            self._channels.append(channel)
        self._turn = asyncio.Lock()

    async def publish(self, publication: Publication) -> None:
        async with self._turn:
            for channel in self._channels:
                await channel.publish(publication)

    async def stream_error(self) -> None:
        message = {"message": STREAM_ERROR, "timestamp": iso(int(self._clock() * 1000))}
        for namespace in ("/", *(f"/{topic.name}" for topic in TOPICS)):
            await self._server.emit("stream_error", message, namespace=namespace)
