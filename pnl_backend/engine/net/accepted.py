"""A connection whose first request is not known yet: over a bare socket, or over TLS."""

import asyncio
import contextlib
import socket
import ssl as tls
from collections.abc import Callable
from typing import cast

from aiohttp import web
from loguru import logger

from pnl_backend.engine import refusals
from pnl_backend.engine.limits import HEAD_READ_SIZE
from pnl_backend.engine.net.connection import Connection, Owner, UpgradeHandler
from pnl_backend.engine.net.http import HttpConnection
from pnl_backend.engine.net.pending import PendingConnections
from pnl_backend.engine.net.requests import Environ, HeadReader, Refusal, begins_whole, clean_upgrade, refusal_bytes
from pnl_backend.engine.net.shared import SharedState
from pnl_backend.engine.net.sockets import SocketConnection, TransportConnection, write_last


class Intake:
    """What accepted connections need to find their handler: the engine's upgrades, or aiohttp."""

    def __init__(
        self,
        shared: SharedState,
        upgrades: UpgradeHandler,
        web_server: Callable[[], web.RequestHandler],
        ssl_context: tls.SSLContext | None,
    ) -> None:
        """`web_server` makes a protocol for a connection that aiohttp is to serve."""
        self.shared = shared
        self.upgrades = upgrades
        self.web_server = web_server
        self.ssl_context = ssl_context
        self.loop = asyncio.get_running_loop()
        self.pending = PendingConnections(shared)

    def accept(self, sock: socket.socket, peer: str) -> None:
        """Take a new connection."""
        if self.ssl_context is None:
            AcceptedSocket(self, sock, peer)
        else:
            AcceptedTransport(self, sock, peer)

    def route(self, head: bytes, peer: str) -> tuple[Owner, bytes] | bytes | None:
        """What to do with a first request: an owner and an answer, a refusal to write, or None: it is aiohttp's."""
        end = head.find(b"\r\n\r\n") + 4
        if end < 4 or not clean_upgrade(head[:end]):
            return None
        environ = Environ(head[: end - 4] + b"\r\n", peer, secure=self.ssl_context is not None)
        if environ.headers.get("upgrade", "").lower() != "websocket" or not self.upgrades.takes(environ.path):
            return None
        try:
            return self.upgrades.open_upgrade(environ)
        except Refusal as refusal:
            return refusal_bytes(refusal)
        except Exception as error:
            logger.opt(exception=error).error("An upgrade failed")
            return refusal_bytes(Refusal.of(refusals.FAILED))


class AcceptedConnection:
    """Reads the first request head and gives the connection to whom it is for."""

    def __init__(self, intake: Intake, peer: str) -> None:
        self.intake = intake
        self.pending = intake.pending
        self.head: HeadReader | None = None
        """Made when the head does not come at once."""
        self.buffer = b""
        self.decided = False
        self.refused = False
        self.accepted = self.pending.enter(peer, self)

    def read(self) -> None:
        """Take what has arrived; a transport brings it by itself."""

    def give_up(self) -> None:
        """Close the socket at once."""
        raise NotImplementedError

    def refuse(self, answer: bytes) -> None:
        """Write an answer and end our half; what the peer still sends is read and dropped until it ends its own."""
        self.refused = True
        self.buffer = b""
        self.write_last(answer)
        self.pending.linger(self.accepted)

    def write_last(self, answer: bytes) -> None:
        """Write an answer and end our half of the connection."""
        raise NotImplementedError

    def hand_over(self) -> None:
        """Give the connection, with what was read, to aiohttp; the head's deadline goes on."""
        raise NotImplementedError

    def upgrade(self, owner: Owner) -> Connection:
        """The WebSocket that the socket becomes."""
        raise NotImplementedError

    def take(self, data: bytes) -> None:
        """Read on until the head is complete, then decide; whatever goes wrong closes the socket."""
        try:
            self._take(data)
        except Exception as error:
            logger.opt(exception=error).error("A new connection failed")
            self.pending.close(self.accepted)

    def http(self) -> HttpConnection:
        return HttpConnection(self.pending, self.accepted, self.intake.web_server())

    def _take(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if self.head is None and not begins_whole(data):
            self.head = HeadReader(self.intake.shared.config.max_head_size)
        if self.head is not None and not self.head.take(data):
            self.decided = True
            self.refuse(refusal_bytes(Refusal.of(refusals.HEAD_TOO_BIG)))
        elif self.head is None or self.head.complete:
            self.decided = True
            self.pending.received(self.accepted)
            self._decide()

    def _decide(self) -> None:
        route = self.intake.route(self.buffer, self.accepted.peer)
        if route is None:
            self.hand_over()
            return
        if isinstance(route, bytes):
            self.refuse(route)
            return
        self.pending.complete(self.accepted)
        owner, answer = route
        connection = self.upgrade(owner)
        self.accepted.holder = None
        owner.attached(connection, answer)
        connection.feed(self.buffer[self.buffer.find(b"\r\n\r\n") + 4 :])


class AcceptedSocket(AcceptedConnection):
    """Over a bare socket, which an upgraded client keeps."""

    def __init__(self, intake: Intake, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        super().__init__(intake, peer)
        intake.shared.readiness.add_reader(sock.fileno(), self.read)

    def read(self) -> None:
        """Take what has arrived; after a refusal it is dropped."""
        if (data := self._receive()) and not self.decided:
            self.take(data)

    def _receive(self) -> bytes:
        """What is there to read; the end, or a reset, closes the socket."""
        if self.sock.fileno() < 0:
            return b""
        try:
            data = self.sock.recv(HEAD_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError:
            data = b""
        if not data:
            self.pending.close(self.accepted)
        return data

    def give_up(self) -> None:
        if self.sock.fileno() >= 0:
            self.intake.shared.readiness.remove(self.sock.fileno())
            self.sock.close()

    def write_last(self, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.send(answer)
            self.sock.shutdown(socket.SHUT_WR)

    def hand_over(self) -> None:
        self.intake.shared.readiness.remove(self.sock.fileno())
        self.intake.shared.tasks.start(self._pass_on(self.http()))

    async def _pass_on(self, http: HttpConnection) -> None:
        try:
            await self.intake.loop.connect_accepted_socket(lambda: _Replay(http, self.buffer), self.sock)
        except BaseException as error:
            self.pending.closed(self.accepted)
            self.sock.close()
            if not isinstance(error, OSError):
                raise

    def upgrade(self, owner: Owner) -> Connection:
        return SocketConnection(self.intake.shared, owner, self.sock)


class _Replay(asyncio.Protocol):
    """Gives way to aiohttp's connection as soon as the transport is there, with what was already read."""

    def __init__(self, http: HttpConnection, data: bytes) -> None:
        self.http = http
        self.data = data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).set_protocol(self.http)
        self.http.connection_made(transport)
        self.http.data_received(self.data)


class AcceptedTransport(AcceptedConnection, asyncio.Protocol):
    """Over TLS; the handshake counts as part of the head."""

    def __init__(self, intake: Intake, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.transport: asyncio.Transport | None = None
        self.handshake: asyncio.Task[None] | None = None
        super().__init__(intake, peer)
        self.handshake = intake.shared.tasks.start(self._secure())

    async def _secure(self) -> None:
        try:
            await self.intake.loop.connect_accepted_socket(
                lambda: self,
                self.sock,
                ssl=self.intake.ssl_context,
                # Not to be reached: the head's deadline cancels this task before.
                ssl_handshake_timeout=3 * self.intake.shared.config.head_timeout,
            )
        except OSError:  # TLS errors and timeouts too
            pass
        finally:
            if self.transport is None:
                self.pending.closed(self.accepted)
                self.sock.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.decided:
            self.take(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        self.pending.closed(self.accepted)

    def give_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        elif self.handshake is not None:
            self.handshake.cancel()

    def write_last(self, answer: bytes) -> None:
        if self.transport is not None:
            write_last(self.transport, answer)

    def hand_over(self) -> None:
        if self.transport is not None:
            _Replay(self.http(), self.buffer).connection_made(self.transport)

    def upgrade(self, owner: Owner) -> Connection:
        if self.transport is None:
            raise ConnectionResetError
        return TransportConnection(self.intake.shared, owner, self.transport)
