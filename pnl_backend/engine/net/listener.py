"""Listening sockets: what they accept is an upgrade that the engine serves on a socket of its own, or aiohttp's."""

import asyncio
import errno
import os
import socket
import ssl as tls
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web
from loguru import logger

from pnl_backend.engine.limits import ACCEPT_PAUSE, ACCEPTS_PER_TURN, BACKLOG, PORTS_TRIED
from pnl_backend.engine.net.accepted import Intake
from pnl_backend.engine.net.connection import UpgradeHandler
from pnl_backend.engine.net.process import descriptor_ceiling
from pnl_backend.engine.net.shared import SharedState
from pnl_backend.engine.net.sockets import set_options

_NOT_OURS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


async def resolve(host: str, port: int) -> list[tuple[int, Any]]:
    """The addresses `(family, (host, port))` of a name to listen on; an empty name stands for all."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address[:2]) for family, _, _, _, address in found))


def bind(addresses: Sequence[tuple[int, Any]], port: int) -> list[socket.socket]:
    """Listening sockets on every one of these `(family, (host, port))` that this machine has.

    One that it has not, as ::1 where IPv6 is off, is left out and reported; OSError when none is left. A port in use on
    one of them is an OSError too: a client would reach another program there. Port 0 is one free on all of them.
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
                set_options(sockets[-1])
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
        shared: SharedState,
        upgrades: UpgradeHandler,
        web_server: Callable[[], web.RequestHandler],
        sockets: list[socket.socket],
        ssl_context: tls.SSLContext | None,
    ) -> None:
        self.sockets = sockets
        self.port: int = sockets[0].getsockname()[1]
        self.loop = asyncio.get_running_loop()
        self.intake = Intake(shared, upgrades, web_server, ssl_context)
        self.pending = self.intake.pending
        self._exhausted = False
        for sock in sockets:
            self.loop.add_reader(sock.fileno(), self._accept, sock)

    async def close(self) -> None:
        """Accept no more and close those without a request; all others are the server's and aiohttp's to close."""
        for sock in self.sockets:
            self.loop.remove_reader(sock.fileno())
            sock.close()
        self.sockets = []
        self.pending.close_all()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if not self.pending.make_room():
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
        self.intake.accept(sock, peer)

    def _make_room(self) -> bool:
        if not self._exhausted:
            self._exhausted = True
            self.loop.call_later(60.0, self._report_again)
            logger.warning("Descriptors are short: connections without a request are closed for new ones")
        if self.pending.make_room():
            return True
        self.intake.shared.counters.refused += 1
        return False

    def _report_again(self) -> None:
        self._exhausted = False

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """Accept nothing for a moment, so that those who are connected can finish."""
        logger.error("Cannot accept connections for {} s: {}", ACCEPT_PAUSE, error)
        self.loop.remove_reader(listening.fileno())

        def resume() -> None:
            if listening in self.sockets:
                self.loop.add_reader(listening.fileno(), self._accept, listening)

        self.loop.call_later(ACCEPT_PAUSE, resume)
