"""A real session, the simulator on loopback, and a small server for answers that no upstream should send."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from pnl_backend.simulator import Book, Simulator
from pnl_backend.sources.base import UpstreamClient

RECORDED = Path(__file__).parents[1] / "data" / "kalshi"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def client(session: aiohttp.ClientSession) -> UpstreamClient:
    return UpstreamClient(session, timeout=10)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(step_interval=None, kalshi_rate=None) as running:
        yield running


@pytest.fixture
def recorded() -> Book:
    return Book.from_recorded(RECORDED)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Answer], Awaitable[str]]]:
    """Starts a server that answers every request with the given function; gives its address."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(answer: Answer) -> str:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            return f"http://{host}:{port}"

        yield start
