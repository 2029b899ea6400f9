"""Connections detached from aiohttp: upgrades and event streams that reached an aiohttp handler.

The transport's protocol is replaced by ours; aiohttp's own is kept, and gets `connection_lost` at the end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from pnl_backend.engine.net.connection import CLOSED, Owner, UpgradeHandler
from pnl_backend.engine.net.http import request_began
from pnl_backend.engine.net.requests import Environ, Refusal
from pnl_backend.engine.net.shared import SharedState
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


class DetachedConnection(TransportConnection):
    """A connection whose socket aiohttp accepted."""

    __slots__ = ("over", "tail")

    def __init__(self, shared: SharedState, owner: Owner, request: web.Request) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tail = _Tail()
        request.protocol.set_parser(cast(Any, tail))
        self.tail = tail.data
        super().__init__(shared, owner, transport, transport.get_protocol())

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


def environ_of(request: web.BaseRequest) -> Environ:
    """The head of an aiohttp request."""
    lines = [f"{request.method} {request.path_qs} HTTP/1.1".encode()]
    lines += [name + b": " + value for name, value in request.raw_headers]
    return Environ(b"\r\n".join(lines) + b"\r\n", request.remote or "", secure=request.secure)


RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def upgrade_middleware(shared: SharedState, upgrades: UpgradeHandler) -> Middleware:
    """An aiohttp middleware that gives the upgrades at an upgrade handler's paths to it."""

    @web.middleware
    async def upgrade_or_pass_on(request: web.Request, handler: RequestHandler) -> web.StreamResponse:
        request_began(request)
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket" and upgrades.takes(request.path):
            return await _upgrade(shared, upgrades, request)
        return await handler(request)

    return upgrade_or_pass_on


async def _upgrade(shared: SharedState, upgrades: UpgradeHandler, request: web.Request) -> web.StreamResponse:
    try:
        owner, answer = upgrades.open_upgrade(environ_of(request))
    except Refusal as refusal:
        headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        return web.Response(status=refusal.status, body=refusal.body, content_type="application/json", headers=headers)
    connection = DetachedConnection(shared, owner, request)
    owner.attached(connection, answer)
    connection.feed(connection.tail)
    return await connection.until_lost()
