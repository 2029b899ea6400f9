"""A connection whose first request is not known yet: over a bare socket, or over TLS."""

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, cast

from loguru import logger

from pnl_backend.engine.net.connection import Connection, Owner
from pnl_backend.engine.net.http import HttpConnection
from pnl_backend.engine.net.requests import HeadReader, Refusal, refusal_bytes
from pnl_backend.engine.net.sockets import READS, SocketConnection, TransportConnection, read_when_ready, write_last

if TYPE_CHECKING:
    from pnl_backend.engine.net.listener import Listener

RECEIVE_SIZE = 16 * 1024


class Front:
    """Reads the first request head and gives the connection to whom it is for."""

    def __init__(self, listener: "Listener", peer: str) -> None:
        self.listener = listener
        self.arrivals = listener.arrivals
        self.head = HeadReader(listener.server.config.max_head_size)
        self.buffer = b""
        self.decided = False
        self.refused = False
        self.arrival = self.arrivals.enter(peer, self)

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
        self.arrivals.linger(self.arrival)

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
            self.arrivals.close(self.arrival)

    def http(self) -> HttpConnection:
        return HttpConnection(self.arrivals, self.arrival, self.listener.web_server())

    def _take(self, data: bytes) -> None:
        self.buffer += data
        if not self.head.take(data):
            self.decided = True
            self.refuse(refusal_bytes(Refusal(431, "Request header fields are too large")))
        elif self.head.complete:
            self.decided = True
            self.arrivals.received(self.arrival)
            self._decide()

    def _decide(self) -> None:
        verdict = self.listener.judge(self.buffer, self.arrival.peer)
        if verdict is None:
            self.hand_over()
            return
        if isinstance(verdict, bytes):
            self.refuse(verdict)
            return
        self.arrivals.complete(self.arrival)
        owner, answer = verdict
        connection = self.upgrade(owner)
        self.arrival.holder = None
        owner.attached(connection, answer)
        connection.feed(self.buffer[self.buffer.find(b"\r\n\r\n") + 4 :])


class SocketFront(Front):
    """Over a bare socket, which an upgraded client keeps."""

    def __init__(self, listener: "Listener", sock: socket.socket, peer: str) -> None:
        self.sock = sock
        super().__init__(listener, peer)
        read_when_ready(listener.loop, sock.fileno(), self.read)

    def read(self) -> None:
        """Take what has arrived."""
        # Read until nothing is left: uvloop reports data with a reset behind it only once.
        while not self.decided and (data := self._receive()):
            self.take(data)
        for _ in range(READS if self.refused else 0):
            if not self._receive():
                return

    def _receive(self) -> bytes:
        """What is there to read; the end, or a reset, closes the socket."""
        if self.sock.fileno() < 0:
            return b""
        try:
            data = self.sock.recv(RECEIVE_SIZE)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError:
            data = b""
        if not data:
            self.arrivals.close(self.arrival)
        return data

    def give_up(self) -> None:
        if self.sock.fileno() >= 0:
            self.listener.loop.remove_reader(self.sock.fileno())
            self.sock.close()

    def write_last(self, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.send(answer)
            self.sock.shutdown(socket.SHUT_WR)

    def hand_over(self) -> None:
        self.listener.loop.remove_reader(self.sock.fileno())
        self.listener.server.eio.spawn(self._pass_on(self.http()))

    async def _pass_on(self, http: HttpConnection) -> None:
        try:
            await self.listener.loop.connect_accepted_socket(lambda: _Replay(http, self.buffer), self.sock)
        except BaseException as error:
            self.arrivals.closed(self.arrival)
            self.sock.close()
            if not isinstance(error, OSError):
                raise

    def upgrade(self, owner: Owner) -> Connection:
        connection = SocketConnection(self.listener.server.eio.wiring, owner, self.sock)
        self.listener.loop.call_soon(connection.read)  # a reset that came with the head is not reported again
        return connection


class _Replay(asyncio.Protocol):
    """Gives way to aiohttp's connection as soon as the transport is there, with what was already read."""

    def __init__(self, http: HttpConnection, data: bytes) -> None:
        self.http = http
        self.data = data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).set_protocol(self.http)
        self.http.connection_made(transport)
        self.http.data_received(self.data)


class TransportFront(Front, asyncio.Protocol):
    """Over TLS; the handshake counts as part of the head."""

    def __init__(self, listener: "Listener", sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.transport: asyncio.Transport | None = None
        self.handshake: asyncio.Task[None] | None = None
        super().__init__(listener, peer)
        self.handshake = listener.server.eio.spawn(self._secure())

    async def _secure(self) -> None:
        try:
            await self.listener.loop.connect_accepted_socket(
                lambda: self,
                self.sock,
                ssl=self.listener.ssl_context,
                # Not to be reached: the head's deadline cancels this task before.
                ssl_handshake_timeout=3 * self.listener.server.config.head_timeout,
            )
        except OSError:  # TLS errors and timeouts too
            pass
        finally:
            if self.transport is None:
                self.arrivals.closed(self.arrival)
                self.sock.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.decided:
            self.take(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        self.arrivals.closed(self.arrival)

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
        return TransportConnection(self.listener.server.eio.wiring, owner, self.transport)
