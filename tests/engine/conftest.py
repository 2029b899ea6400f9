"""A running engine on a free port, and clients for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web

from pnl_backend.engine import EngineConfig, Server, attach, create_server, listen
from tests.engine.client import PollingClient, UpgradingClient, WebSocketClient, upgraded
from tests.waiting import PATIENCE


@dataclass
class Running:
    """A server that listens, and a session to reach it with."""

    server: Server
    port: int
    http: aiohttp.ClientSession
    app: web.Application
    log: list[tuple[Any, ...]]
    scheme: str = "http"

    @property
    def base(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/socket.io/"

    async def client(self, transport: str) -> Any:
        """A client with its Engine.IO session open."""
        if transport == "polling":
            return await PollingClient(self.http, self.base).open()
        if transport == "upgrading":
            return await UpgradingClient(self.http, self.base).open()
        if transport == "upgraded":
            return await upgraded(self.http, self.base)
        return await WebSocketClient(self.http, self.base).open()

    async def connected(self, transport: str, namespace: str = "/") -> Any:
        """A client that is connected to a namespace."""
        client = await self.client(transport)
        await client.send("40" if namespace == "/" else f"40{namespace},")
        assert "sid" in str(await client.packet())
        return client

    async def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Wait for the server to reach a state."""
        async with asyncio.timeout(patience):
            while not condition():  # noqa: ASYNC110 - a state, not an event, is what the test is about
                await asyncio.sleep(0.005)


Start = Callable[..., Awaitable[Running]]


def handlers(server: Server, log: list[tuple[Any, ...]]) -> None:
    """What the protocol's own test suite asks of a server."""

    async def connect(sid: str, environ: Any, auth: Any) -> None:
        log.append(("connect", sid, auth))

    async def disconnect(sid: str, reason: str) -> None:
        log.append(("disconnect", sid, reason))

    async def message(sid: str, *args: Any) -> None:
        await server.emit("message-back", args, to=sid)

    async def custom(sid: str, *args: Any) -> None:
        await server.emit("message-back", args, to=sid, namespace="/custom")

    async def acknowledged(sid: str, *args: Any) -> tuple[Any, ...]:
        return args

    server.on("connect", connect)
    server.on("disconnect", disconnect)
    server.on("message", message)
    server.on("message-with-ack", acknowledged)
    server.on("message", custom, namespace="/custom")


def serving() -> list[asyncio.Task[Any]]:
    """Tasks of the server's that run now."""
    ours = ("/pnl_backend/", "/aiohttp/web_protocol")
    return [task for task in asyncio.all_tasks() if any(name in repr(task) for name in ours)]


@asynccontextmanager
async def running(
    config: EngineConfig,
    *,
    front: bool = True,
    setup: Callable[[Server], None] | None = None,
    route: Callable[[Server, web.Application], None] | None = None,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    log: list[tuple[Any, ...]] = []
    server = create_server(config, **options)
    handlers(server, log)
    if setup is not None:
        setup(server)
    app = web.Application()
    attach(server, app)
    if route is not None:
        route(server, app)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    if front:
        listener = await listen(server, runner, host="127.0.0.1", port=0, ssl_context=tls)
        port = listener.port
    else:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port = runner.addresses[0][1]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=False)) as http:
        yield Running(server, port, http, app, log, "http" if tls is None else "https")
        await server.shutdown(2.0)
    if front:
        await listener.close()
    await runner.cleanup()


ONE_LOOP = ("test_fuzz", "test_abandoned", "test_side_by_side")
"""Long tests run on the product's loop alone."""


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """The loop that the product runs on, and the one that stands in where that is not to be had."""
    product = {"uvloop": uvloop.new_event_loop}
    if any(name in item.nodeid for name in ONE_LOOP):
        return product
    return {**product, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server; it stops with the test."""
    async with AsyncExitStack() as stack:

        async def begin(
            *,
            front: bool = True,
            setup: Any = None,
            route: Any = None,
            tls: Any = None,
            options: Any = None,
            **config: Any,
        ) -> Running:
            values = {"ping_interval": 0.4, "ping_timeout": PATIENCE, "connect_timeout": PATIENCE, **config}
            return await stack.enter_async_context(
                running(EngineConfig(**values), front=front, setup=setup, route=route, tls=tls, **(options or {}))
            )

        yield begin


@pytest.fixture(params=["front", "aiohttp"])
async def engine(request: pytest.FixtureRequest, start: Start) -> Running:
    """A server with short timings, by each of the two ways in."""
    return await start(front=request.param == "front")
