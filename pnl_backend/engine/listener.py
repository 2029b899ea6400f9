"""Where connections come in: upgrades leave at once for sockets of their own, everything else goes to aiohttp.

`attach` serves an application on any aiohttp runner; `listen` puts a small front before it, so that a WebSocket never
becomes an aiohttp request at all.
"""

import asyncio
import contextlib
import socket
import ssl as tls
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web
from loguru import logger

from pnl_backend.engine.connection import Connection, Owner
from pnl_backend.engine.eio import environ_of
from pnl_backend.engine.requests import Environ, Refusal, clean_upgrade
from pnl_backend.engine.server import Server
from pnl_backend.engine.sockets import SocketConnection, TransportConnection
from pnl_backend.engine.takeover import BorrowedConnection

HEAD_LIMIT = 16 * 1024
HEAD_TIMEOUT = 10.0
"""Seconds for the first request's head: who says nothing is hung up on."""
BACKLOG = 4096
ACCEPTS = 64
"""Connections accepted before the loop gets its turn."""


def attach(server: Server, app: web.Application) -> None:
    """Mount a server on an aiohttp application: its path, and upgrades at its feeds' paths."""

    @web.middleware
    async def upgrades(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket" and server.takes(request.path):
            return await _take_over(server, request)
        return await handler(request)

    app.middlewares.insert(0, upgrades)
    app.router.add_route("*", server.config.path, server.handle_request)


async def _take_over(server: Server, request: web.Request) -> web.StreamResponse:
    """Upgrade a request that came through aiohttp."""
    try:
        owner, answer = server.open_upgrade(environ_of(request))
    except Refusal as refusal:
        headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        return web.Response(status=refusal.status, body=refusal.body, content_type="application/json", headers=headers)
    connection = BorrowedConnection(server.eio.wiring, owner, request)
    owner.attached(connection, answer)
    connection.feed(connection.tail)
    return await connection.until_lost()


async def listen(
    server: Server, runner: web.AppRunner, *, host: str, port: int, ssl_context: tls.SSLContext | None = None
) -> "Listener":
    """Listen for a set-up runner's application and the server attached to it; port 0 takes a free one."""
    if runner.server is None:
        raise RuntimeError("set the runner up first: await runner.setup()")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        where = (address[0], sockets[0].getsockname()[1] if sockets and port == 0 else address[1])
        sockets.append(socket.create_server(where, family=family, backlog=BACKLOG, reuse_port=False))
        sockets[-1].setblocking(False)
    return Listener(server, runner.server, sockets, ssl_context)


class Listener:
    """Listening sockets; `port` is the one really bound."""

    def __init__(
        self,
        server: Server,
        web_server: web.Server,
        sockets: list[socket.socket],
        ssl_context: tls.SSLContext | None,
    ) -> None:
        self.server = server
        self.web_server = web_server
        self.sockets = sockets
        self.ssl_context = ssl_context
        self.port: int = sockets[0].getsockname()[1]
        self.loop = asyncio.get_running_loop()
        self.waiting = server.eio.wiring.timers.queue(HEAD_TIMEOUT, _Front.give_up)
        for sock in sockets:
            self.loop.add_reader(sock.fileno(), self._accept, sock)

    async def close(self) -> None:
        """Accept no more; connections that stand are the server's and aiohttp's to close."""
        for sock in self.sockets:
            self.loop.remove_reader(sock.fileno())
            sock.close()
        self.sockets = []

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._exhausted(listening, error)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.ssl_context is None:
                _SocketFront(self, sock, address[0])
            else:
                self.server.eio.spawn(self._secure(sock, address[0], self.ssl_context))

    def _exhausted(self, listening: socket.socket, error: OSError) -> None:
        """Out of descriptors: let those who are here finish before more come in."""
        logger.error("Cannot accept connections for a second: {}", error)
        self.loop.remove_reader(listening.fileno())

        def again() -> None:
            if listening in self.sockets:
                self.loop.add_reader(listening.fileno(), self._accept, listening)

        self.loop.call_later(1.0, again)

    async def _secure(self, sock: socket.socket, peer: str, context: tls.SSLContext) -> None:
        try:
            await self.loop.connect_accepted_socket(
                lambda: _TransportFront(self, peer), sock, ssl=context, ssl_handshake_timeout=HEAD_TIMEOUT
            )
        except (OSError, tls.SSLError, TimeoutError):
            sock.close()

    def judge(self, head: bytes, peer: str) -> "tuple[Owner, bytes] | bytes | None":
        """What to do with a first request: an owner and an answer, a refusal to write, or None: it is aiohttp's."""
        end = head.find(b"\r\n\r\n") + 4
        if end < 4 or not clean_upgrade(head[:end]):
            return None
        environ = Environ(head[: end - 4] + b"\r\n", peer, secure=self.ssl_context is not None)
        if environ.headers.get("upgrade", "").lower() != "websocket" or not self.server.takes(environ.path):
            return None
        try:
            return self.server.open_upgrade(environ)
        except Refusal as refusal:
            return refusal_bytes(refusal)
        except Exception as error:
            logger.opt(exception=error).error("An upgrade failed")
            return refusal_bytes(Refusal(500, "Internal error"))


def refusal_bytes(refusal: Refusal) -> bytes:
    """A whole HTTP answer that ends the connection."""
    lines = [
        f"HTTP/1.1 {refusal.status} Refused",
        "Content-Type: application/json",
        f"Content-Length: {len(refusal.body)}",
        "Connection: close",
    ]
    if refusal.status == 426:
        lines.append("Sec-WebSocket-Version: 13")
    if refusal.retry_after is not None:
        lines.append(f"Retry-After: {refusal.retry_after}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + refusal.body


class _Front:
    """A connection whose first request is not known yet."""

    def __init__(self, listener: Listener, peer: str) -> None:
        self.listener = listener
        self.peer = peer
        self.buffer = b""
        listener.waiting.add(self)

    def give_up(self) -> None:
        """The head did not come in time."""
        raise NotImplementedError

    def refuse(self, answer: bytes) -> None:
        raise NotImplementedError

    def hand_over(self) -> None:
        """Give the connection, with what was read, to aiohttp."""
        raise NotImplementedError

    def upgrade(self, owner: Owner) -> Connection:
        raise NotImplementedError

    def take(self, data: bytes) -> None:
        """Read on until the head is whole, then decide."""
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n") + 4
        if end < 4 and len(self.buffer) < HEAD_LIMIT:
            return
        self.listener.waiting.discard(self)
        verdict = self.listener.judge(self.buffer, self.peer)
        if verdict is None:
            self.hand_over()
        elif isinstance(verdict, bytes):
            self.refuse(verdict)
        else:
            owner, answer = verdict
            connection = self.upgrade(owner)
            owner.attached(connection, answer)
            if len(self.buffer) > end:
                connection.feed(self.buffer[end:])


class _SocketFront(_Front):
    """Over a bare socket, which an upgraded client keeps."""

    def __init__(self, listener: Listener, sock: socket.socket, peer: str) -> None:
        super().__init__(listener, peer)
        self.sock = sock
        listener.loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            data = self.sock.recv(HEAD_LIMIT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self.take(data)
        else:
            self.listener.waiting.discard(self)
            self.give_up()

    def give_up(self) -> None:
        self.listener.loop.remove_reader(self.sock.fileno())
        self.sock.close()

    def refuse(self, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.send(answer)
        self.give_up()

    def hand_over(self) -> None:
        self.listener.loop.remove_reader(self.sock.fileno())
        self.listener.server.eio.spawn(self._pass_on())

    async def _pass_on(self) -> None:
        try:
            await self.listener.loop.connect_accepted_socket(
                lambda: _Replay(self.listener.web_server, self.buffer), self.sock
            )
        except OSError:
            self.sock.close()

    def upgrade(self, owner: Owner) -> Connection:
        return SocketConnection(self.listener.server.eio.wiring, owner, self.sock)


class _Replay(asyncio.Protocol):
    """Gives way to aiohttp's protocol as soon as the transport stands, with what was already read."""

    def __init__(self, web_server: web.Server, data: bytes) -> None:
        self.web_server = web_server
        self.data = data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        protocol = self.web_server()
        cast(asyncio.Transport, transport).set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self.data)


class _TransportFront(_Front, asyncio.Protocol):
    """Over an asyncio transport: TLS."""

    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.take(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason changes nothing
        self.listener.waiting.discard(self)

    def give_up(self) -> None:
        # Without a transport the TLS handshake is under way, which has a deadline of its own.
        if self.transport is not None:
            self.transport.abort()

    def refuse(self, answer: bytes) -> None:
        if self.transport is not None:
            self.transport.write(answer)
            self.transport.close()

    def hand_over(self) -> None:
        if self.transport is not None:
            _Replay(self.listener.web_server, self.buffer).connection_made(self.transport)

    def upgrade(self, owner: Owner) -> Connection:
        if self.transport is None:
            raise ConnectionResetError
        return TransportConnection(self.listener.server.eio.wiring, owner, self.transport)
