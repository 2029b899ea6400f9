"""A server in a process and the simulator that plays its upstreams."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from pnl_backend.simulator import Simulator
from tests.support.server import FAST, ServerProcess, upstream_env


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Upstreams that move only when told."""
    async with Simulator(step_interval=None, kalshi_rate=None) as played:
        yield played


@pytest.fixture
async def server(tmp_path, simulator) -> AsyncIterator[ServerProcess]:
    """A server on real credentials of the simulator, with fast timings; started, with its first live snapshot."""
    since = (datetime.now(UTC) - timedelta(days=20)).date()
    env = upstream_env(simulator, simulator.credentials()) | {"PNL_SINCE": since.isoformat()}
    process = ServerProcess(tmp_path, **FAST, **env)
    await process.start()
    await process.until("/api/pnl/current", lambda a: all(s["status"] == "live" for s in a["data"]["sources"].values()))
    yield process
    await process.close()
