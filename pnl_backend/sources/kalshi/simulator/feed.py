"""Kalshi's WebSocket feed: quotes, lifecycles, and one account's fills and positions, to subscribers."""

from __future__ import annotations

from aiohttp import web

from pnl_backend.sources.simulated.upstream import Upstream

from .api import KalshiApi
from .exchange import Event, Exchange
from .feed_session import Session

PATH = "/trade-api/ws/v2"
_GOODBYE = 0.2
_TERMINAL = (10, 25)


class KalshiFeed:
    """Serves the feed beside the REST routes; the handshake is signed like any request."""

    def __init__(self, exchange: Exchange, upstream: Upstream, api: KalshiApi) -> None:
        self.muted = False
        self._exchange = exchange
        self._upstream = upstream
        self._api = api
        self._sessions: set[Session] = set()
        upstream.add(PATH, self._serve, absolute=True)
        upstream.before_stop = self._close
        exchange.listeners.append(self._tell)

    @property
    def connections(self) -> int:
        return len(self._sessions)

    def fail(self, code: int) -> None:
        """End every subscription with an error; ValueError for a code that does not end one."""
        if code not in _TERMINAL:
            raise ValueError(f"an error that ends a subscription is one of {_TERMINAL}")
        for session in self._sessions:
            session.fail(code)

    def drop(self) -> None:
        """Cut every connection without a close frame."""
        for session in list(self._sessions):
            session.drop()

    async def _close(self) -> None:
        for session in list(self._sessions):
            await session.close()

    def _tell(self, event: Event) -> None:
        if not self.muted:
            for session in self._sessions:
                session.notify(event)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        refusal = self._api.refusal(request)
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(compress=False, timeout=_GOODBYE)
        await socket.prepare(request)
        session = Session(
            self._exchange,
            socket,
            request,
            user_id=self._api.user_of(request),
            now_ms=lambda: int(self._upstream.now(request) * 1000),
        )
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
        return socket
