"""A limit of requests that all nodes of a cluster count together."""

from __future__ import annotations

import math
import time
from typing import Any

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from pnl_backend.access.addresses import group
from pnl_backend.access.ratelimit import WINDOW, Decision
from pnl_backend.bus.redis.link import RedisLink
from pnl_backend.errors import BusDown
from pnl_backend.redis_client import Redis


class SharedLimit:
    """`limit` requests a minute for each client, whichever node it asks."""

    def __init__(self, link: RedisLink, prefix: str, limit: int) -> None:
        self._link = link
        self._limit = limit
        self._item = RateLimitItemPerSecond(limit, int(WINDOW))
        pool: Any = {"connection_pool": link.client.connection_pool}
        storage = RedisStorage("async+redis://", implementation="redispy", key_prefix=f"{prefix}limits", **pool)
        self._limiter = MovingWindowRateLimiter(storage)

    async def take(self, digest: bytes, address: str) -> Decision | None:
        """Count one request of the client that a key's digest and an address make; None while Redis is away."""
        client = digest.hex() or "-", group(address)

        async def hit(_: Redis) -> tuple[bool, float, int]:
            admitted = await self._limiter.hit(self._item, *client)
            reset, remaining = await self._limiter.get_window_stats(self._item, *client)
            return admitted, reset, remaining

        try:
            admitted, reset, remaining = await self._link.call(hit)
        except BusDown:
            return None
        wait = max(1, math.ceil(reset - time.time()))
        return Decision(self._limit, max(0, remaining), wait, 0 if admitted else wait)
