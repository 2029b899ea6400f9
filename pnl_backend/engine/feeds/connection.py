"""Plain WebSocket and server-sent-event feeds on the same connections, pings, caps and fan-out as Socket.IO."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from pnl_backend.engine.engineio.packets import Message, RawFrames
from pnl_backend.engine.engineio.server import environ_of
from pnl_backend.engine.net import frames
from pnl_backend.engine.net.connection import OPEN, Connection
from pnl_backend.engine.net.detached import BorrowedConnection
from pnl_backend.engine.net.requests import Environ, Refusal, check_origin, cors_headers, from_client, handshake

if TYPE_CHECKING:
    from pnl_backend.engine.server import Server
    from pnl_backend.engine.socketio.clients import SocketEngine

COMMENT_INTERVAL = 15.0
COMMENT = RawFrames(b": keep-alive\n\n")
WEBSOCKET_PING = RawFrames(frames.frame(frames.PING, b""))


class FeedHandler(Protocol):
    """What a feed does with each of its connections; plain functions, called from the event loop."""

    def opened(self, connection: "FeedConnection") -> None: ...

    def received(self, connection: "FeedConnection", data: str | bytes) -> None: ...

    def closed(self, connection: "FeedConnection", reason: str) -> None: ...


Accept = Callable[[Environ], "FeedHandler | Refusal"]


class FeedConnection:
    """One client of a plain feed; it gets broadcasts."""

    __slots__ = ("connection", "data", "engine", "environ", "handler", "key", "kind", "open", "variant")

    def __init__(self, engine: "SocketEngine", environ: Environ, handler: FeedHandler, kind: str) -> None:
        self.engine = engine
        self.environ = environ
        self.handler = handler
        self.kind = kind
        self.connection: Connection | None = None
        self.variant = 0
        self.key: str | None = None
        self.data: Any = None
        self.open = True

    @property
    def behind(self) -> bool:
        """Whether something waits for the client to read."""
        return self.connection is not None and self.connection.lags()

    def claim(self, key: str) -> bool:
        """Name the key under which the client came in; False when the key has as many clients as it may."""
        if self.key is not None or not self.engine.admission.enter_key(key):
            return self.key == key
        self.key = key
        return True

    def send(self, message: Message | str) -> None:
        """Send to this client alone, behind whatever broadcasts owe it."""
        if self.engine.fanout.active:
            self.engine.fanout.settle(self)
        self.engine.wiring.counters.messages_sent += 1
        self.deliver(Message.text(message) if isinstance(message, str) else message)

    async def writable(self) -> bool:
        """Wait until the client takes more of a replay; False when the connection is over."""
        while self.connection is not None:
            if (backlog := self.connection.backlog()) is None:
                return True
            await backlog.emptied()
        return False

    def deliver(self, message: Message) -> None:
        if self.connection is not None:
            self.connection.send(message)

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Close with a WebSocket close code; an event stream just ends."""
        if self.connection is not None:
            self.connection.close(code, reason)
        self.lost(reason or "server disconnect")

    # A feed connection owns its connection.

    def attached(self, connection: Connection, answer: bytes) -> None:
        self.connection = connection
        self.engine.feeds.add(self)
        self._rest()
        connection.write(answer)
        self.handler.opened(self)

    def received(self, data: str | bytes) -> None:
        self.handler.received(self, data)

    def lost(self, reason: str) -> None:
        if not self.open:
            return
        self.open = False
        self.connection = None
        self.engine.feeds.discard(self)
        for queue in (self.engine.resting, self.engine.unanswered, self.engine.commenting):
            queue.discard(self)
        self.engine.admission.leave(self.environ.peer)
        if self.key is not None:
            self.engine.admission.leave_key(self.key)
        self.handler.closed(self, reason)

    # Pings: the protocol's own on WebSocket, comments on event streams.

    def _rest(self) -> None:
        (self.engine.resting if self.kind == "websocket" else self.engine.commenting).add(self)

    def beat(self) -> None:
        if self.kind == "websocket":
            self.deliver(WEBSOCKET_PING)
            self.engine.unanswered.add(self)
        else:
            self.deliver(COMMENT)
            self._rest()

    def pong(self) -> None:
        if self in self.engine.unanswered:
            self.engine.unanswered.discard(self)
            self._rest()

    def expire(self) -> None:
        self.engine.wiring.counters.ping_timeouts += 1
        self.close(frames.GOING_AWAY, "ping timeout")


class EventStream(BorrowedConnection):
    """A response of server-sent events; nothing is read from it."""

    __slots__ = ()

    @staticmethod
    def encode(message: Message) -> bytes:
        return message.event

    def feed(self, data: bytes) -> None:
        """An event stream's client has nothing to say."""

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:  # noqa: ARG002 - no place for either
        if self.state == OPEN:
            self._closing()
            self.wiring.linger.add(self)
            self.finish()


def open_feed(engine: "SocketEngine", environ: Environ, accept: Accept) -> tuple[FeedConnection, bytes]:
    """Judge a plain feed's upgrade; Refusal when it is not taken."""
    check_origin(environ, engine.config.cors_allowed_origins)
    answer = handshake(environ)
    handler = accept(environ)
    if isinstance(handler, Refusal):
        raise handler
    engine.admission.enter(environ.peer)
    environ.forget()
    return FeedConnection(engine, environ, handler, "websocket"), answer


async def open_event_stream(
    server: "Server", request: web.Request, handler: FeedHandler, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Turn an aiohttp request into an event stream; returns when it is over. Refusals are answered."""
    if request.transport is None:
        return web.Response()  # the client reset the connection before its request was handled
    environ = from_client(environ_of(request), server.config)
    try:
        allowed = server.config.cors_allowed_origins
        cors = cors_headers(check_origin(environ, allowed), allowed)
        server.eio.admission.enter(environ.peer)
    except Refusal as refusal:
        server.eio.wiring.counters.refused += 1
        retry = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        return web.json_response({"message": refusal.message}, status=refusal.status, headers=retry)
    environ.forget()
    feed = FeedConnection(server.eio, environ, handler, "sse")
    lines = {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
        **(headers or {}),
        **cors,
        "Connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if "\n" not in value and "\r" not in value)
    stream = EventStream(server.eio.wiring, feed, request)
    feed.attached(stream, f"HTTP/1.1 200 OK\r\n{head}\r\n".encode())
    return await stream.until_lost()
