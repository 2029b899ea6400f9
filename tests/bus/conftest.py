"""A bus on a real Redis."""

from collections.abc import AsyncIterator

import pytest

from pnl_backend.bus.redis import RedisBus
from tests.redis_server import RedisServer

LEASE = 0.6


@pytest.fixture
async def bus(redis_server: RedisServer) -> AsyncIterator[RedisBus]:
    async with RedisBus.opened(redis_server.url, lease=LEASE) as opened:
        await opened.stream.newest(1)  # it counts as connected from its first answer on
        yield opened
