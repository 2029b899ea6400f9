"""The ledger feed as server-sent events: one response a client, its events named by their place in the sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import hdrs, web

from pnl_backend.engine import FeedConnection, Message, Server, closes, open_event_stream
from pnl_backend.stream.ledger import LedgerFeed, parse_event_id
from pnl_backend.stream.limits import RETRY_MS
from pnl_backend.wire.socket_messages import Since

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


class LedgerStream:
    """Answers requests for the event stream; who may ask was checked before."""

    def __init__(
        self, server: Server, feed: LedgerFeed, *, headers: Callable[[web.Request], Mapping[str, str]] = lambda _: {}
    ) -> None:
        """`headers` are those that the rest of the API sends with every answer."""
        self._server = server
        self._feed = feed
        self._headers = headers

    async def answer(self, request: web.Request, key: str) -> web.StreamResponse:
        """Stream until the client disconnects; `key` is the name of its key."""
        headers = {**self._headers(request), **HEADERS}
        if request.method == hdrs.METH_HEAD:
            return web.Response(headers=headers)
        since = parse_event_id(request.headers.get("Last-Event-ID", ""))
        return await open_event_stream(
            self._server.feeds, request, _Stream(self._server, self._feed, key, since), headers
        )


class _Stream:
    """One client's side of the stream."""

    __slots__ = ("_feed", "_key", "_server", "_since")

    def __init__(self, server: Server, feed: LedgerFeed, key: str, since: Since | None) -> None:
        self._server = server
        self._feed = feed
        self._key = key
        self._since = since

    def opened(self, connection: FeedConnection) -> None:
        connection.send(_Retry(()))
        if not connection.claim(self._key):
            connection.close(closes.KEY_FULL)
        elif self._since is None:
            self._feed.join(connection)
        else:
            self._server.eio.spawn(self._feed.resume(connection, self._since))

    def received(self, connection: FeedConnection, data: str | bytes) -> None:
        """An event stream receives nothing."""

    def closed(self, connection: FeedConnection, reason: str) -> None:  # noqa: ARG002 - whatever the reason
        self._feed.leave(connection)


class _Retry(Message):
    """A line that is no event."""

    __slots__ = ()

    @property
    def event(self) -> bytes:
        return f"retry: {RETRY_MS}\n\n".encode()
