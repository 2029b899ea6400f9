"""A cluster on a real Redis and a real PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pnl_backend.simulator import Simulator
from tests.cluster.installation import Cluster, cluster
from tests.redis_server import RedisServer
from tests.support.postgres import PostgresServer


@pytest.fixture
async def installation(tmp_path: Path, redis_server: RedisServer, postgres: PostgresServer) -> AsyncIterator[Cluster]:
    async with (
        Simulator(step_interval=0.05, kalshi_rate=None) as simulator,
        cluster(tmp_path, redis_server, postgres, simulator) as made,
    ):
        yield made
