"""The Socket.IO server that an application builds: python-socketio's API over this engine."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import socketio

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.engineio.packets import MESSAGE, EncodedJson, Message
from pnl_backend.engine.engineio.server import EngineServer
from pnl_backend.engine.feeds.connection import Accept, FeedConnection, open_feed
from pnl_backend.engine.net.connection import Owner
from pnl_backend.engine.net.requests import Environ, Refusal, fold_path, from_client
from pnl_backend.engine.socketio import packets as events
from pnl_backend.engine.socketio.clients import Client, SocketEngine
from pnl_backend.engine.socketio.connects import Authenticate, OnConnect
from pnl_backend.engine.socketio.fanout import VARIANTS, Broadcast
from pnl_backend.engine.socketio.options import refuse_options
from pnl_backend.engine.socketio.protocol import Protocol
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
        self.feeds: dict[str, Accept] = {}
        self.protocol = self.eio.layer = Protocol(self, config, authenticate, on_connect)

    def _engineio_server_class(self) -> type[EngineServer]:
        return SocketEngine

    # For the application.

    def attach(self, app: Any, socketio_path: str | None = None) -> None:
        """Mount on an aiohttp application at the configured path."""
        if socketio_path is not None and socketio_path.strip("/") != self.config.path.strip("/"):
            raise ValueError("the path is EngineConfig.path's to say")
        from pnl_backend.engine.net.listener import attach

        attach(self, app)

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
        variants = [plain, *(self.manager.with_argument(plain, given) for given in offsets)]
        variants += [variants[-1]] * (VARIANTS - len(variants))
        await self.manager.finish(self.eio.fanout.publish(audience, variants))

    def publish(self, feeds: Sequence[FeedConnection], message: Message, *, behind: Message | None = None) -> Broadcast:
        """The same fan-out for plain feeds: those that lag get `behind`, when given, in place of the message."""
        return self.eio.fanout.publish(feeds, [message] * 2, None if behind is None else [behind] * 2)

    def add_feed(self, path: str, accept: Accept) -> None:
        """Take WebSocket upgrades at a path for a plain feed."""
        self.feeds[fold_path(path)] = accept

    def takes(self, path: str) -> bool:
        """Whether WebSocket upgrades at this path are for the engine."""
        folded = fold_path(path)
        return folded == fold_path(self.config.path) or folded in self.feeds

    def open_upgrade(self, environ: Environ) -> tuple[Owner, bytes]:
        """Judge an upgrade before it is answered: its owner and the answer; Refusal when it is not taken."""
        environ = from_client(environ, self.config)
        try:
            accept = self.feeds.get(fold_path(environ.path))
            if accept is None:
                return self.eio.open_websocket(environ)
            return open_feed(self.eio, environ, accept)
        except Refusal:
            self.eio.wiring.counters.refused += 1
            raise

    def count_unknown_event(self) -> None:
        """For an application that takes every event and knows only some."""
        self.eio.wiring.counters.unknown_events += 1

    def stats(self) -> EngineStats:
        websocket = sum(client.connection is not None for client in self.clients.values())
        sse = sum(feed.kind == "sse" for feed in self.eio.feeds)
        return EngineStats(
            clients=self.eio.admission.total,
            websocket=websocket,
            polling=len(self.clients) - websocket,
            feed_websocket=len(self.eio.feeds) - sse,
            feed_sse=sse,
            unauthenticated=len(self.eio.unconnected),
            unfinished=0 if self.eio.arrivals is None else len(self.eio.arrivals.unfinished),
            sessions=len(self.eio.sessions),
            **asdict(self.eio.wiring.counters),
        )

    def close_key(self, key: str) -> int:
        """Close everything that came in under a key; how many."""
        clients = [client for client in self.clients.values() if key in client.keys]
        for client in clients:
            for namespace in client.members:
                client.send(self.packet(events.DISCONNECT, namespace))
            client.depart("server disconnect")
        feeds = [feed for feed in self.eio.feeds if feed.key == key]
        for feed in feeds:
            feed.close(1008, "key revoked")
        return len(clients) + len(feeds)

    async def shutdown(self, timeout: float = 5.0) -> None:
        """Tell every client that the server goes away, refuse newcomers, wait for the goodbyes."""
        self.eio.admission.closed = True
        for feed in list(self.eio.feeds):
            feed.close(1001, "server shutting down")
        await self.eio.shutdown(timeout)

    def idle(self, client: Client) -> None:
        """A member has left; a client without any has the connect timeout to come back."""
        self.protocol.idle(client)

    def packet(
        self, kind: int, namespace: str, data: Any = None, *, ack_id: int | None = None, key: str | None = None
    ) -> Message:
        """A packet as python-socketio's encoder writes it."""
        if isinstance(data, list) and any(isinstance(value, EncodedJson) for value in data):
            return Message((MESSAGE + _joined(kind, namespace, data, ack_id),), key=key)
        packet_class = cast(Any, self.packet_class)
        encoded = packet_class(packet_type=kind, data=data, namespace=namespace, id=ack_id).encode()
        if isinstance(encoded, list):
            return Message((MESSAGE + encoded[0], *encoded[1:]), key=key)
        return Message((MESSAGE + encoded,), key=key)


def _joined(kind: int, namespace: str, values: list[Any], ack_id: int | None) -> str:
    """A packet of several values, those that are JSON already as they are."""
    texts = [value if isinstance(value, EncodedJson) else json.dumps(value, separators=(",", ":")) for value in values]
    place = "" if namespace == "/" else f"{namespace},"
    return f"{kind}{place}{'' if ack_id is None else ack_id}[{','.join(texts)}]"


def create_server(
    config: EngineConfig | None = None,
    *,
    authenticate: Authenticate | None = None,
    on_connect: OnConnect | None = None,
    **options: object,
) -> Server:
    """Build a server that stands alone; docs/engine.md says what it offers. Other options raise TypeError."""
    return Server(config or EngineConfig(), authenticate=authenticate, on_connect=on_connect, **options)
