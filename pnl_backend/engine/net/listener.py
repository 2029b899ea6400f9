"""Where connections come in: upgrades leave at once for sockets of their own, everything else goes to aiohttp.

`attach` serves an application on any aiohttp runner; `listen` puts a small front before it, so that a WebSocket never
becomes an aiohttp request at all.
"""

import asyncio
import errno
import os
import socket
import ssl as tls
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import hdrs, web
from loguru import logger

from pnl_backend.engine.engineio.server import environ_of
from pnl_backend.engine.net.accepted import SocketFront, TransportFront
from pnl_backend.engine.net.connection import Owner
from pnl_backend.engine.net.detached import BorrowedConnection
from pnl_backend.engine.net.http import request_began
from pnl_backend.engine.net.pending import Arrivals
from pnl_backend.engine.net.process import descriptor_ceiling
from pnl_backend.engine.net.requests import Environ, Refusal, clean_upgrade, refusal_bytes
from pnl_backend.engine.server import Server

BACKLOG = 4096
ACCEPTS = 64
"""Connections accepted before the loop gets its turn."""
PORTS_TRIED = 10
"""Free ports tried until one is free on every address."""
_NOT_OURS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
PAUSE = 1.0
"""Seconds without an accept when no descriptor is left and nobody can make room."""


def attach(server: Server, app: web.Application) -> None:
    """Mount a server on an aiohttp application: its path, and upgrades at its feeds' paths."""

    @web.middleware
    async def upgrades(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        request_began(request)
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket" and server.takes(request.path):
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
    addresses = [(family, address[:2]) for family, _, _, _, address in found]
    return Listener(server, runner.server, bind(list(dict.fromkeys(addresses)), port), ssl_context)


def bind(addresses: Sequence[tuple[int, Any]], port: int) -> list[socket.socket]:
    """Listening sockets on every one of these `(family, (host, port))` that this machine has.

    One that it has not, as ::1 where IPv6 is off, is left out and reported; OSError when none is left. A port in use on
    one of them is an OSError too: whoever asks there would reach another program. Port 0 is one free on all of them.
    """
    for attempt in range(1, PORTS_TRIED + 1):
        try:
            return _bind_once(addresses)
        except OSError as error:
            if port != 0 or error.errno != errno.EADDRINUSE or attempt == PORTS_TRIED:
                raise
    raise AssertionError  # the last attempt returns or raises


def _bind_once(addresses: Sequence[tuple[int, Any]]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    left_out: list[tuple[str, OSError]] = []
    try:
        for family, (host, port, *_) in addresses:
            taken = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(socket.create_server((host, taken), family=family, backlog=BACKLOG, reuse_port=False))
            except OSError as error:
                if error.errno not in _NOT_OURS:
                    raise
                left_out.append((host, error))
            else:
                sockets[-1].setblocking(False)
        if not sockets:
            raise left_out[0][1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    for host, why in left_out:
        logger.warning("Not listening on {}: {}", host, os.strerror(why.errno or 0))
    return sockets


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
        self.arrivals = Arrivals(server.eio.wiring)
        server.eio.arrivals = self.arrivals
        self._exhausted = False
        for sock in sockets:
            self.loop.add_reader(sock.fileno(), self._accept, sock)

    async def close(self) -> None:
        """Accept no more and close those without a request; all others are the server's and aiohttp's to close."""
        for sock in self.sockets:
            self.loop.remove_reader(sock.fileno())
            sock.close()
        self.sockets = []
        self.arrivals.close_all()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if not self.arrivals.make_room():
                    self._pause(listening, error)
                return
            try:
                self._admit(sock, address[0])
            except Exception as error:
                sock.close()
                logger.opt(exception=error).error("A connection could not be taken")

    def _admit(self, sock: socket.socket, peer: str) -> None:
        """Take a connection; one that has a reserved descriptor only where another makes room, which frees a lower."""
        if sock.fileno() >= descriptor_ceiling() and not self._make_room():
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.ssl_context is None:
            SocketFront(self, sock, peer)
        else:
            TransportFront(self, sock, peer)

    def _make_room(self) -> bool:
        if not self._exhausted:
            self._exhausted = True
            self.loop.call_later(60.0, self._report_again)
            logger.warning("Descriptors are short: connections without a request are closed for new ones")
        if self.arrivals.make_room():
            return True
        self.server.eio.wiring.counters.refused += 1
        return False

    def _report_again(self) -> None:
        self._exhausted = False

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """Accept nothing for a moment, so that those who are connected can finish."""
        logger.error("Cannot accept connections for {} s: {}", PAUSE, error)
        self.loop.remove_reader(listening.fileno())

        def resume() -> None:
            if listening in self.sockets:
                self.loop.add_reader(listening.fileno(), self._accept, listening)

        self.loop.call_later(PAUSE, resume)

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
