"""The parts of the Redis bus on one connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pnl_backend.bus.redis.commands import RedisCommands
from pnl_backend.bus.redis.lease import RedisLease
from pnl_backend.bus.redis.limits import SharedLimit
from pnl_backend.bus.redis.link import RedisLink
from pnl_backend.bus.redis.nodes import RedisNodes
from pnl_backend.bus.redis.stream import RedisStream

LISTED_FOR = 3.0
"""A node stays listed for so many leases without registering again."""


class RedisBus:
    """Its keys begin with `pnl-bus:`, those of a demo with `pnl-demo-bus:`. `lease` is in seconds.

    They are apart from the cache's prefix `pnl:`, because clearing the cache removes everything under that.
    """

    def __init__(self, url: str, *, lease: float, namespace: str = "live") -> None:
        prefix = "pnl-bus:" if namespace == "live" else f"pnl-{namespace}-bus:"
        stream_key = f"{prefix}stream"
        self.link = RedisLink(url)
        self.stream = RedisStream(self.link, stream_key)
        self.lease = RedisLease(
            self.link, f"{prefix}lease", fence_key=f"{prefix}fence", stream_key=stream_key, seconds=lease
        )
        self._prefix = prefix
        self.commands = RedisCommands(self.link, prefix)
        self.nodes = RedisNodes(self.link, prefix, seconds=LISTED_FOR * lease)

    def shared_limit(self, per_minute: int) -> SharedLimit:
        """A limit that the nodes count together."""
        return SharedLimit(self.link, self._prefix, per_minute)

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, *, lease: float, namespace: str = "live") -> AsyncIterator[RedisBus]:
        """The bus, its connections closed when the block ends."""
        bus = cls(url, lease=lease, namespace=namespace)
        try:
            yield bus
        finally:
            await bus.link.close()
