"""What one node asks of another: a request in the other's list, and its answer under a key of its own."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import msgspec

from pnl_backend.bus.redis.link import RedisLink
from pnl_backend.redis_client import Redis
from pnl_backend.wire.message import encode

LIFE_MS = 10_000
"""How long a request, and an answer, wait to be read."""
POLL = 0.05
"""Seconds between two looks for an answer."""
MOST = 16
"""Requests that a node reads at once."""


class Request(msgspec.Struct):
    """Close this breaker, or all of them."""

    id: str
    service: str | None = None


class RedisCommands:
    """Breaker resets, from a node that does not lead to the one that does."""

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        self._requests = msgspec.json.Decoder(Request)
        self._answers = msgspec.json.Decoder(list[str])

    async def ask(self, node: str, service: str | None, *, patience: float) -> list[str] | None:
        """What a node answers, within `patience` seconds; None if it does not."""
        request = Request(secrets.token_hex(8), service)

        async def send(client: Redis) -> object:
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.rpush(self._list(node), encode(request))
                pipeline.pexpire(self._list(node), LIFE_MS)
                return await pipeline.execute()

        async def look(client: Redis) -> Any:
            return await client.getdel(self._answer(request.id))

        await self._link.call(send)
        for _ in range(int(patience / POLL)):
            await asyncio.sleep(POLL)
            if (found := await self._link.call(look)) is not None:
                return self._answers.decode(found)
        return None

    async def taken(self, node: str) -> list[Request]:
        """The requests to this node that nobody has taken yet."""

        async def pop(client: Redis) -> Any:
            return await client.lpop(self._list(node), MOST)

        return [self._requests.decode(each) for each in await self._link.call(pop) or ()]

    async def answer(self, request: Request, done: list[str]) -> None:
        async def write(client: Redis) -> object:
            return await client.set(self._answer(request.id), encode(done), px=LIFE_MS)

        await self._link.call(write)

    def _list(self, node: str) -> str:
        return f"{self._prefix}requests:{node}"

    def _answer(self, request: str) -> str:
        return f"{self._prefix}answer:{request}"
