"""The Socket.IO server that an application builds: python-socketio's API over this engine."""

import ssl as tls
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import socketio
from aiohttp import web

from pnl_backend.engine import closes
from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.engineio.server import EngineServer
from pnl_backend.engine.feeds.connection import Accept, FeedConnection, Feeds
from pnl_backend.engine.limits import VARIANTS
from pnl_backend.engine.net.connection import Owner
from pnl_backend.engine.net.detached import upgrade_middleware
from pnl_backend.engine.net.listener import Listener, bind, resolve
from pnl_backend.engine.net.messages import Message
from pnl_backend.engine.net.requests import Environ, Refusal, fold_path, from_client
from pnl_backend.engine.socketio.connects import Authenticate, OnConnect
from pnl_backend.engine.socketio.engine import SocketEngine
from pnl_backend.engine.socketio.fanout import Broadcast
from pnl_backend.engine.socketio.options import refuse_options
from pnl_backend.engine.socketio.packets import DISCONNECT, encode_packet, with_argument
from pnl_backend.engine.socketio.protocol import SocketProtocol
from pnl_backend.engine.socketio.rooms import Room, Rooms


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Clients now, by transport, and what was counted since the start."""

    clients: int
    websocket: int
    polling: int
    feed_websocket: int
    feed_sse: int
    unauthenticated: int
    unfinished: int
    """Connections without a complete request head."""
    sessions: int
    """Engine.IO sessions, those included whose client is still to fetch what waits for it."""
    messages_sent: int
    messages_received: int
    dropped: int
    slow_disconnects: int
    refused: int
    protocol_errors: int
    handler_errors: int
    ping_timeouts: int
    unknown_events: int
    head_timeouts: int
    shed: int


class Server(socketio.AsyncServer):
    """A `socketio.AsyncServer` on our own engine, with broadcasts that say what they replace."""

    eio: SocketEngine
    manager: Rooms

    def __init__(
        self,
        config: EngineConfig,
        *,
        authenticate: Authenticate | None = None,
        on_connect: OnConnect | None = None,
        **options: object,
    ) -> None:
        """`options` are those of `socketio.AsyncServer`: none is taken here, each raises a TypeError that names it."""
        refuse_options(options)
        self.config = config
        cast(Any, super()).__init__(client_manager=Rooms(), config=config)
        self.clients = self.eio.sessions
        self.feeds = Feeds(self.eio.shared, self.eio.fanout)
        self.listener: Listener | None = None
        self._path = fold_path(config.path)
        self.eio.client_listener = SocketProtocol(self, self.manager, authenticate, on_connect)

    def _engineio_server_class(self) -> type[EngineServer]:
        return SocketEngine

    # For the application.

    def attach(self, app: web.Application, socketio_path: str | None = None) -> None:
        """Mount on an aiohttp application at the configured path."""
        if socketio_path is not None and socketio_path.strip("/") != self.config.path.strip("/"):
            raise ValueError("the path is EngineConfig.path's to say")
        app.middlewares.insert(0, upgrade_middleware(self.eio.shared, self))
        app.router.add_route("*", self.config.path, self.eio.handle_request)

    async def broadcast(
        self,
        event: str,
        data: Any = None,
        *,
        room: Room = None,
        namespace: str = "/",
        skip_sid: str | None = None,
        replace_key: str | None = None,
        offset: str | Sequence[str] | None = None,
    ) -> None:
        """Emit to a room, or to everyone, what may replace what waits under the same key.

        With several offsets, a client of variant n gets the nth, counted from 1.
        """
        audience = self.manager.audience(namespace, room, skip_sid)
        if not audience:
            return
        plain = self.manager.encode(event, data, namespace, key=replace_key)
        offsets = [offset] if isinstance(offset, str) else offset or ()
        variants = [plain, *(with_argument(plain, given) for given in offsets)]
        variants += [variants[-1]] * (VARIANTS - len(variants))
        await self.manager.finish(self.eio.fanout.publish(audience, variants))

    def publish(self, feeds: Sequence[FeedConnection], message: Message, *, behind: Message | None = None) -> Broadcast:
        """The same fan-out for plain feeds: those that lag get `behind`, when given, in place of the message."""
        return self.eio.fanout.publish(feeds, [message] * 2, None if behind is None else [behind] * 2)

    def add_feed(self, path: str, accept: Accept) -> None:
        """Take WebSocket upgrades at a path for a plain feed."""
        self.feeds.add(path, accept)

    def takes(self, path: str) -> bool:
        """Whether WebSocket upgrades at this path are for the engine."""
        folded = fold_path(path)
        return folded == self._path or self.feeds.takes(folded)

    def open_upgrade(self, environ: Environ) -> tuple[Owner, bytes]:
        """The owner of an upgrade's connection and the answer to its handshake; Refusal when it is not taken."""
        environ = from_client(environ, self.config)
        try:
            if self.feeds.takes(fold_path(environ.path)):
                return self.feeds.open_websocket(environ)
            return self.eio.open_websocket(environ)
        except Refusal:
            self.eio.shared.counters.refused += 1
            raise

    def count_unknown_event(self) -> None:
        """For an application that takes every event and knows only some."""
        self.eio.shared.counters.unknown_events += 1

    def stats(self) -> EngineStats:
        websocket = sum(client.connection is not None for client in self.clients.values())
        sse = sum(feed.kind == "sse" for feed in self.feeds.connections)
        return EngineStats(
            clients=self.eio.admission.total,
            websocket=websocket,
            polling=len(self.clients) - websocket,
            feed_websocket=len(self.feeds.connections) - sse,
            feed_sse=sse,
            unauthenticated=len(self.eio.unconnected),
            unfinished=0 if self.listener is None else len(self.listener.pending.unfinished),
            sessions=len(self.eio.sessions),
            **asdict(self.eio.shared.counters),
        )

    def close_key(self, key: str) -> int:
        """Close everything that came in under a key; how many."""
        clients = [client for client in self.clients.values() if key in client.keys]
        for client in clients:
            for namespace in client.members:
                client.send(encode_packet(DISCONNECT, namespace))
            client.depart(closes.SERVER_DISCONNECT)
        return len(clients) + self.feeds.close_key(key)

    async def shutdown(self, timeout: float = 5.0) -> None:
        """Refuse new clients, close every connection, and wait up to `timeout` seconds until they are closed."""
        self.eio.admission.closed = True
        self.feeds.shut_down()
        await self.eio.shutdown(timeout)


def create_server(
    config: EngineConfig | None = None,
    *,
    authenticate: Authenticate | None = None,
    on_connect: OnConnect | None = None,
    **options: object,
) -> Server:
    """Build a server that stands alone; docs/engine.md says what it offers. Other options raise TypeError."""
    return Server(config or EngineConfig(), authenticate=authenticate, on_connect=on_connect, **options)


def attach(server: Server, app: web.Application) -> None:
    """Mount a server on an aiohttp application: its path, and upgrades at its feeds' paths."""
    server.attach(app)


async def listen(
    server: Server, runner: web.AppRunner, *, host: str, port: int, ssl_context: tls.SSLContext | None = None
) -> Listener:
    """Listen for a set-up runner's application and the server attached to it; port 0 takes a free one.

    Unlike aiohttp's own sites it serves a WebSocket without making it an aiohttp request.
    """
    if runner.server is None:
        raise RuntimeError("set the runner up first: await runner.setup()")
    sockets = bind(await resolve(host, port), port)
    server.listener = Listener(server.eio.shared, server, runner.server, sockets, ssl_context)
    return server.listener
