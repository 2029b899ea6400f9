"""The lease of the leader: a lock of redis-py, and the fence counter beside it."""

from __future__ import annotations

from pnl_backend.bus.redis.link import RedisLink
from pnl_backend.redis_client import Lock, LockError, Redis

_NEXT_FENCE = """
local fence = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') or 0, tonumber(ARGV[1]))
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
if newest[1] then
    fence = math.max(fence, tonumber(string.match(newest[1][1], '%d+')))
end
redis.call('SET', KEYS[1], string.format('%d', fence + 1))
return fence + 1
"""
"""One more than the counter, than the number that is given, and than the fence of the newest entry, in one step."""


class RedisLease:
    """`seconds` is how long a lease lasts without renewal."""

    def __init__(self, link: RedisLink, key: str, *, fence_key: str, stream_key: str, seconds: float) -> None:
        self._link = link
        self._key = key
        self._fence_key = fence_key
        self._stream_key = stream_key
        self._lock = Lock(link.client, key, timeout=seconds, blocking=False, thread_local=False)

    async def acquire(self) -> bool:
        async def take(_: Redis) -> bool:
            return bool(await self._lock.acquire())

        return await self._link.call(take, probe=True)

    async def renew(self) -> bool:
        async def extend(_: Redis) -> bool:
            return bool(await self._lock.reacquire())

        try:
            return await self._link.call(extend, probe=True)
        except LockError:
            return False

    async def release(self) -> None:
        async def give_up(_: Redis) -> None:
            await self._lock.release()

        try:
            await self._link.call(give_up)
        except LockError:
            return

    async def remaining(self) -> float:
        async def read(client: Redis) -> int:
            return int(await client.pttl(self._key))

        return max(0, await self._link.call(read)) / 1000

    async def next_fence(self, above: int = 0) -> int:
        async def run(client: Redis) -> int:
            return int(await client.eval(_NEXT_FENCE, 2, self._fence_key, self._stream_key, str(above)))

        return await self._link.call(run)
