"""A server in a process and the simulator of its upstreams."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pnl_backend.simulator import Simulator
from tests.e2e.importing import idle, ledger  # noqa: F401 - fixtures
from tests.support.server import FAST, ServerProcess, upstream_env


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Upstreams that move only when told."""
    async with Simulator(step_interval=None, kalshi_rate=None) as played:
        yield played


def complete(answer: Any) -> bool:
    """Whether every source of a snapshot is live and no history is missing."""
    return all(one["status"] == "live" and "importing" not in one for one in answer["data"]["sources"].values())


@pytest.fixture
async def server(tmp_path, simulator) -> AsyncIterator[ServerProcess]:
    """A server on real credentials of the simulator, with fast timings; started, with its first complete snapshot."""
    since = (datetime.now(UTC) - timedelta(days=20)).date()
    env = upstream_env(simulator, simulator.credentials()) | {"PNL_SINCE": since.isoformat()}
    process = ServerProcess(tmp_path, **FAST, **env)
    await process.start()
    await process.until("/api/pnl/current", complete)
    yield process
    await process.close()
