"""The list of nodes in Redis: a set of ids, and a key that expires for each node."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from pnl_backend.bus.protocol import NodeInfo
from pnl_backend.bus.redis.link import RedisLink
from pnl_backend.redis_client import Redis
from pnl_backend.wire.message import encode

_DECODER = msgspec.json.Decoder(NodeInfo)


class RedisNodes:
    """`seconds` is how long a node stays listed without registering again."""

    def __init__(self, link: RedisLink, prefix: str, *, seconds: float) -> None:
        self._link = link
        self._prefix = prefix
        self._ids = f"{prefix}nodes"
        self._milliseconds = int(seconds * 1000)

    async def register(self, node: NodeInfo) -> None:
        now = int(time.time() * 1000)

        async def write(client: Redis) -> object:
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.set(self._key(node.id), encode(node), px=self._milliseconds)
                pipeline.zadd(self._ids, {node.id: now})
                # Another machine's clock may differ: an id is removed long after its key has expired.
                pipeline.zremrangebyscore(self._ids, "-inf", now - 3_600_000)
                return await pipeline.execute()

        await self._link.call(write, probe=True)

    async def listed(self) -> list[NodeInfo]:
        async def read(client: Redis) -> Any:
            ids: Any = await client.zrange(self._ids, 0, -1)
            return await client.mget([self._key(each.decode()) for each in ids]) if ids else []

        held = [_DECODER.decode(each) for each in await self._link.call(read) if each is not None]
        return sorted(held, key=lambda node: node.id)

    async def leave(self, node: str) -> None:
        async def remove(client: Redis) -> object:
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.delete(self._key(node))
                pipeline.zrem(self._ids, node)
                return await pipeline.execute()

        await self._link.call(remove)

    def _key(self, node: str) -> str:
        return f"{self._prefix}node:{node}"
