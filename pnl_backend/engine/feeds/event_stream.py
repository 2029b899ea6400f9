"""Server-sent events: an aiohttp response that becomes a feed connection."""

from collections.abc import Mapping

from aiohttp import web

from pnl_backend.engine.closes import NORMAL, Close
from pnl_backend.engine.feeds.connection import FeedConnection, FeedHandler, Feeds
from pnl_backend.engine.net.connection import OPEN
from pnl_backend.engine.net.detached import DetachedConnection, environ_of
from pnl_backend.engine.net.messages import Message
from pnl_backend.engine.net.requests import Refusal, check_origin, from_client


class EventStream(DetachedConnection):
    """A response of server-sent events; nothing is read from it."""

    __slots__ = ()

    @staticmethod
    def encode(message: Message) -> bytes:
        return message.event

    def feed(self, data: bytes) -> None:
        """Drop it: an event stream's client sends nothing after its request."""

    def close(self, close: Close = NORMAL) -> None:  # noqa: ARG002 - an event stream has no place for it
        if self.state == OPEN:
            self._closing()
            self.shared.linger.add(self)
            self.finish()


async def open_event_stream(
    feeds: Feeds, request: web.Request, handler: FeedHandler, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Turn an aiohttp request into an event stream; returns when it is over. Refusals are answered."""
    if request.transport is None:
        return web.Response()  # the client reset the connection before its request was handled
    config = feeds.shared.config
    environ = from_client(environ_of(request), config)
    try:
        cors = check_origin(environ, config.cors_allowed_origins)
        feeds.shared.admission.enter(environ.peer)
    except Refusal as refusal:
        feeds.shared.counters.refused += 1
        retry = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        return web.json_response({"message": refusal.message}, status=refusal.status, headers=retry)
    environ.forget()
    feed = FeedConnection(feeds, environ, handler, "sse")
    lines = {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
        **(headers or {}),
        **cors,
        "Connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if "\n" not in value and "\r" not in value)
    stream = EventStream(feeds.shared, feed, request)
    feed.attached(stream, f"HTTP/1.1 200 OK\r\n{head}\r\n".encode())
    return await stream.until_lost()
