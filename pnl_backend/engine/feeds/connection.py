"""Plain WebSocket and server-sent-event feeds on the same connections, pings, caps and fan-out as Socket.IO."""

from collections.abc import Callable
from typing import Any, Protocol

from pnl_backend.engine import closes
from pnl_backend.engine.closes import Close
from pnl_backend.engine.limits import COMMENT_INTERVAL
from pnl_backend.engine.net import frames
from pnl_backend.engine.net.connection import Connection, Owner
from pnl_backend.engine.net.messages import Message, RawFrames
from pnl_backend.engine.net.requests import Environ, Refusal, check_origin, fold_path, handshake
from pnl_backend.engine.net.shared import SharedState
from pnl_backend.engine.net.timers import Deadlines
from pnl_backend.engine.socketio.fanout import Fanout

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

    __slots__ = ("connection", "data", "environ", "feeds", "handler", "key", "kind", "open", "variant")

    def __init__(self, feeds: "Feeds", environ: Environ, handler: FeedHandler, kind: str) -> None:
        self.feeds = feeds
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
        if self.key is not None or not self.feeds.shared.admission.enter_key(key):
            return self.key == key
        self.key = key
        return True

    def send(self, message: Message | str) -> None:
        """Send to this client alone, behind whatever broadcasts owe it."""
        if self.feeds.fanout.active:
            self.feeds.fanout.settle(self)
        self.feeds.shared.counters.messages_sent += 1
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

    def close(self, close: Close = closes.SERVER_DISCONNECT) -> None:
        """Close a WebSocket with a close frame; an event stream ends without one."""
        if self.connection is not None:
            self.connection.close(close)
        self.lost(close)

    # A feed connection owns its connection.

    def attached(self, connection: Connection, answer: bytes) -> None:
        self.connection = connection
        self.feeds.connections.add(self)
        self._rest()
        connection.write(answer)
        self.handler.opened(self)

    def received(self, data: str | bytes) -> None:
        self.handler.received(self, data)

    def lost(self, close: Close) -> None:
        if not self.open:
            return
        self.open = False
        self.connection = None
        self.feeds.connections.discard(self)
        for queue in (self.feeds.resting, self.feeds.unanswered, self.feeds.commenting):
            queue.discard(self)
        self.feeds.shared.admission.leave(self.environ.peer)
        if self.key is not None:
            self.feeds.shared.admission.leave_key(self.key)
        self.handler.closed(self, close.reason)

    # Pings: the protocol's own on WebSocket, comments on event streams.

    def _rest(self) -> None:
        (self.feeds.resting if self.kind == "websocket" else self.feeds.commenting).add(self)

    def keep_alive(self) -> None:
        if self.kind == "websocket":
            self.deliver(WEBSOCKET_PING)
            self.feeds.unanswered.add(self)
        else:
            self.deliver(COMMENT)
            self._rest()

    def pong(self) -> None:
        if self in self.feeds.unanswered:
            self.feeds.unanswered.discard(self)
            self._rest()

    def expire(self) -> None:
        self.feeds.shared.counters.ping_timeouts += 1
        self.close(closes.PING_TIMEOUT)


class Feeds:
    """All plain feeds of one server: their paths, connections and pings."""

    def __init__(self, shared: SharedState, fanout: Fanout) -> None:
        self.shared = shared
        self.fanout = fanout
        self.connections: set[FeedConnection] = set()
        self._accept: dict[str, Accept] = {}
        config, timers = shared.config, shared.timers
        self.resting = Deadlines[FeedConnection](timers, config.ping_interval, lambda feed: feed.keep_alive())
        """WebSockets until their next ping."""
        self.unanswered = Deadlines[FeedConnection](timers, config.ping_timeout, lambda feed: feed.expire())
        """WebSockets whose ping is not answered yet."""
        self.commenting = Deadlines[FeedConnection](timers, COMMENT_INTERVAL, lambda feed: feed.keep_alive())
        """Event streams until their next comment."""

    def add(self, path: str, accept: Accept) -> None:
        """Take WebSocket upgrades at a path."""
        self._accept[fold_path(path)] = accept

    def takes(self, path: str) -> bool:
        """Whether a feed is at this path, which is folded."""
        return path in self._accept

    def open_websocket(self, environ: Environ) -> tuple[Owner, bytes]:
        """Take an upgrade at a feed's path: the connection's owner and the answer; Refusal when it is not taken."""
        check_origin(environ, self.shared.config.cors_allowed_origins)
        answer = handshake(environ)
        handler = self._accept[fold_path(environ.path)](environ)
        if isinstance(handler, Refusal):
            raise handler
        self.shared.admission.enter(environ.peer)
        environ.forget()
        return FeedConnection(self, environ, handler, "websocket"), answer

    def close_key(self, key: str) -> int:
        """Close every connection that came in under a key; how many."""
        feeds = [feed for feed in self.connections if feed.key == key]
        for feed in feeds:
            feed.close(closes.KEY_REVOKED)
        return len(feeds)

    def shut_down(self) -> None:
        """Close every connection because the server shuts down."""
        for feed in list(self.connections):
            feed.close(closes.SHUTDOWN)
