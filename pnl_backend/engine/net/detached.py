"""Connections taken over from aiohttp: upgrades and event streams that reached an aiohttp handler.

The transport's protocol is replaced by ours; aiohttp's own waits beside it and is told when the connection is lost.
"""

import asyncio
from typing import Any, cast

from aiohttp import web

from pnl_backend.engine.net.connection import CLOSED, Owner, Wiring
from pnl_backend.engine.net.sockets import TransportConnection


class _Tail:
    """Takes from aiohttp's protocol what it read behind the request."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Nothing to end."""


class BorrowedConnection(TransportConnection):
    """A connection whose socket aiohttp accepted."""

    __slots__ = ("over", "tail")

    def __init__(self, wiring: Wiring, owner: Owner, request: web.Request) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tail = _Tail()
        request.protocol.set_parser(cast(Any, tail))
        self.tail = tail.data
        super().__init__(wiring, owner, transport, transport.get_protocol())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.over.done():
            self.over.set_result(None)

    async def until_lost(self) -> web.StreamResponse:
        """Keep the aiohttp handler until the connection is over; what it answers then goes nowhere."""
        try:
            await self.over
        finally:
            if self.state != CLOSED:
                self.ended()
        return web.Response()
