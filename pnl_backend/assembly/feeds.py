"""Hangs every feed on the hub: the engine's server, and on it each transport as a thin adapter."""

from __future__ import annotations

from aiohttp import web

from pnl_backend import engine
from pnl_backend.assembly.socket_keys import key_name
from pnl_backend.http.headers import security_headers
from pnl_backend.http.middleware import INFO
from pnl_backend.http.routing import Answer, Handler, Route
from pnl_backend.stream.dashboard import Dashboard, DashboardFeed
from pnl_backend.stream.hub import Hub
from pnl_backend.stream.ledger import LedgerFeed
from pnl_backend.stream.socketio import SocketFeed
from pnl_backend.stream.sse import LedgerStream
from pnl_backend.stream.topics import snapshot_topics
from pnl_backend.stream.websocket import Authenticate, PlainSockets


class Feeds:
    """The server that clients connect to, and the route of the API that streams."""

    def __init__(
        self,
        hub: Hub,
        config: engine.EngineConfig,
        *,
        authenticate: Authenticate,
        dashboard: Dashboard,
        secret: bytes,
        recovery_window: float,
        dashboard_broadcast: bool = False,
    ) -> None:
        broadcast = (dashboard.name,) if dashboard_broadcast else ()
        self.sockets = SocketFeed(
            hub, (*snapshot_topics(), dashboard), secret=secret, window=recovery_window, broadcast=broadcast
        )
        self.server = engine.create_server(config, authenticate=authenticate, on_connect=self.sockets.plan)
        self.sockets.mount(self.server)
        self.ledger = LedgerFeed(self.server, hub)
        self.dashboard = DashboardFeed(self.server, hub, dashboard)
        for sink in (dashboard, self.sockets, self.ledger, self.dashboard):  # the dashboard learns of a new day first
            hub.attach(sink)
        key_timeout = config.connect_timeout
        PlainSockets(self.server, self.ledger, authenticate=authenticate, key_timeout=key_timeout).mount("/", "/ws")
        figures = PlainSockets(self.server, self.dashboard, authenticate=authenticate, key_timeout=key_timeout)
        figures.mount("/pnl-stream")
        self._events = LedgerStream(self.server, self.ledger, headers=_headers)

    def route(self) -> Route:
        """The event stream, under the API's keys, limits and description."""
        return stream_route(self._stream)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        grant = request[INFO].grant
        if grant is None:
            raise RuntimeError("the stream is served behind the check of keys only")
        return await self._events.answer(request, key_name(grant))


def stream_route(handler: Handler) -> Route:
    """The route of the event stream, answered by `handler`."""
    return Route(
        method="GET",
        path="/api/pnl/stream",
        handler=handler,
        tag="P&L",
        summary="The ledger feed as server-sent events: snapshots, and deltas between them",
        answers=(Answer("Events without end; /asyncapi.json describes them.", content_type="text/event-stream"),),
        errors=(503,),
    )


def _headers(request: web.Request) -> dict[str, str]:
    """What other answers get from the middleware."""
    return {**security_headers(), "X-Request-ID": request[INFO].request_id, "Vary": "Origin"}
