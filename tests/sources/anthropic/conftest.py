"""A fetcher against the simulator, and against answers that no upstream should send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from aiohttp import web

from pnl_backend.domain.readings import AnthropicSpend
from pnl_backend.simulator import Simulator
from pnl_backend.sources.anthropic.fetcher import AnthropicFetcher
from pnl_backend.sources.base import UpstreamClient
from tests.sources.anthropic.support import DAY, NOW, TODAY, Memory
from tests.sources.support import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW.timestamp())


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
async def simulator(clock: Clock) -> AsyncIterator[Simulator]:
    async with Simulator(step_interval=None, clock=clock) as running:
        yield running


@pytest.fixture
def make(client: UpstreamClient, simulator: Simulator, memory: Memory, clock: Clock):
    def fetcher(kind: str = "admin", since: date = TODAY - 40 * DAY, **options: Any) -> AnthropicFetcher:
        given = {
            "base_url": simulator.anthropic_url,
            "api_key": simulator.credentials(anthropic=kind).anthropic_key,
            "closed_days": memory,
            "clock": clock,
            **options,
        }
        return AnthropicFetcher(client, since=since, **given)

    return fetcher


@pytest.fixture
async def fetch(serve, client: UpstreamClient, clock: Clock, memory: Memory):
    """Fetch from a server that answers analytics/cost with these pages, the last again and again."""

    async def run(*pages: Any, since: date = TODAY) -> AnthropicSpend:
        held = list(pages)

        async def answer(_: web.Request) -> web.Response:
            return web.json_response(held.pop(0) if len(held) > 1 else held[0])

        url = await serve(answer)
        fetcher = AnthropicFetcher(
            client, base_url=url, api_key="sk-ant-admin01-x", since=since, closed_days=memory, clock=clock
        )
        return (await fetcher.fetch()).value

    return run
