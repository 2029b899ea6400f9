"""The shared tier: Redis, asked within 250 ms or not at all, and never a reason for anything else to fail.

A background probe decides whether Redis is up. Calls trust it: while it is down they return at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from loguru import logger
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from pnl_backend.cache.base import Entry, TierDown, TierError, TierStatus
from pnl_backend.domain.readings import Tier
from pnl_backend.errors import ConfigError

Result = TypeVar("Result")

CALL_TIMEOUT = 0.25
SWEEP_TIMEOUT = 2.0
PROBE_INTERVAL = 0.5
COUNT_INTERVAL = 10.0
HEALTH_CHECK_INTERVAL = 20
POOL_SIZE = 16
MAX_OWED = 1000
SCAN_BATCH = 500
_FAILURES = (RedisError, OSError, TimeoutError)


class RedisTier:
    """Values under `prefix`, each behind a header that names its key, so that nothing foreign is ever believed.

    Keys that could not be written or deleted while Redis was away are owed a deletion, which is paid before the tier
    counts as connected again: an older value must not come back with it.
    """

    name: Tier = "redis"

    def __init__(
        self,
        *,
        url: str | None,
        prefix: str = "pnl:v1:main:",
        call_timeout: float = CALL_TIMEOUT,
        probe_interval: float = PROBE_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix = prefix
        self._call_timeout = call_timeout
        self._probe_interval = probe_interval
        self._clock = clock
        self._client = _client(url, POOL_SIZE, call_timeout) if url else None
        # The probe has a connection of its own: a pool that is merely busy must not look like a dead server.
        self._prober = _client(url, 1, call_timeout) if url else None
        self.status: TierStatus = "down" if url else "disabled"
        self._trusted = False
        self._announced = False
        self._wake = asyncio.Event()
        self._closed = False
        self._probing: asyncio.Task[None] | None = None
        self._owed: set[str] = set()
        self._owes_all = False
        self._down_since = 0.0
        self._skipped = 0
        self._size: int | None = None
        self._counted_at = float("-inf")

    async def open(self) -> None:
        """Learn the first status (at most one call's time) and keep it true in the background."""
        if self._client is None:
            return
        self._down_since = self._clock()
        await self._probe()
        self._probing = asyncio.create_task(self._keep_probing(), name="redis-probe")

    async def get(self, key: str) -> Entry | None:
        async def read(client: Redis) -> tuple[int, bytes | None]:
            # The life before the value: a write in between can only make the value seem older than it is. No MULTI,
            # because a Redis that is full refuses even reads inside one.
            async with client.pipeline(transaction=False) as pipeline:
                pipeline.pttl(self._prefix + key)
                pipeline.get(self._prefix + key)
                remaining, value = await pipeline.execute()
                return remaining, value

        ttl_ms, stored = await self._call(read)
        if stored is None or ttl_ms <= 0:
            return None
        header = _header(key)
        if not stored.startswith(header):
            raise TierError(f"Redis holds a value of another kind under {self._prefix}{key}")
        return Entry(stored[len(header) :], ttl_ms / 1000)

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        async def write(client: Redis) -> object:
            return await client.set(self._prefix + key, _header(key) + value, px=max(1, round(ttl * 1000)))

        try:
            await self._call(write)
        except TierError:
            self._owe(key)
            raise

    async def delete(self, key: str) -> None:
        async def remove(client: Redis) -> object:
            return await client.unlink(self._prefix + key)

        try:
            await self._call(remove)
        except TierError:
            self._owe(key)
            raise

    async def delete_prefix(self, prefix: str) -> None:
        async def sweep(client: Redis) -> None:
            await _sweep(client, self._prefix + prefix)

        try:
            await self._call(sweep, timeout=SWEEP_TIMEOUT)
        except TierError:
            self._owes_all = True
            raise

    async def clear(self) -> None:
        await self.delete_prefix("")

    async def close(self) -> None:
        self._closed = True
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
            self._probing = None
        if self.status != "disabled":
            self.status, self._trusted = "down", False
        for client in (self._client, self._prober):
            if client is not None:
                with contextlib.suppress(*_FAILURES):
                    await client.aclose()
                    await client.connection_pool.disconnect()

    def size(self) -> int | None:
        return self._size

    async def _call(self, operation: Callable[[Redis], Awaitable[Result]], *, timeout: float | None = None) -> Result:
        if self._client is None or not self._trusted:
            self._skipped += 1
            raise TierDown("Redis is down")
        try:
            async with asyncio.timeout(timeout or self._call_timeout):
                return await operation(self._client)
        except _FAILURES as error:
            # A refusal (out of memory, read-only replica) comes from a server that is there.
            if isinstance(error, RedisConnectionError) or not isinstance(error, ResponseError):
                self._trusted = False
                self._wake.set()
            raise TierError(f"Redis: {_reason(error)}") from error

    def _owe(self, key: str) -> None:
        self._owed.add(key)
        if len(self._owed) > MAX_OWED:
            self._owed.clear()
            self._owes_all = True

    async def _keep_probing(self) -> None:
        while not self._closed:
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ends this task.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._probe_interval):
                    await self._wake.wait()
            self._wake.clear()
            await self._probe()

    async def _probe(self) -> None:
        assert self._prober is not None  # noqa: S101 - probing starts only where there is a URL
        try:
            async with asyncio.timeout(self._call_timeout):
                await self._prober.ping()
            await self._settle(self._prober)
        except _FAILURES as error:
            await self._mark_down(error)
        else:
            self._mark_up()

    async def _settle(self, client: Redis) -> None:
        """Pay the deletions that are owed, then count our keys now and again; both before anything is trusted."""
        async with asyncio.timeout(SWEEP_TIMEOUT):
            if self._owes_all:
                await _sweep(client, self._prefix)
                self._owes_all = False
                self._owed.clear()
            while self._owed:
                batch = [*self._owed][:SCAN_BATCH]
                await client.unlink(*(self._prefix + key for key in batch))
                self._owed.difference_update(batch)
            if self._clock() - self._counted_at >= COUNT_INTERVAL:
                self._size = await _count(client, self._prefix)
                self._counted_at = self._clock()

    def _mark_up(self) -> None:
        self._trusted = True
        if self.status == "connected":
            return
        self.status = "connected"
        if self._announced:
            away = self._clock() - self._down_since
            logger.info("Redis is back after {:.1f} s; {} calls went on without it", away, self._skipped)
        self._announced, self._skipped = False, 0

    async def _mark_down(self, error: BaseException) -> None:
        self._trusted = False
        if self.status == "connected":
            self.status, self._down_since, self._size = "down", self._clock(), None
            self._counted_at = float("-inf")
            assert self._client is not None  # noqa: S101 - probing starts only where there is a URL
            with contextlib.suppress(*_FAILURES):
                await self._client.connection_pool.disconnect()
        if not self._announced:
            self._announced = True
            logger.warning("Redis is down, the cache goes on without it: {}", _reason(error))


def _client(url: str, connections: int, call_timeout: float) -> Redis:
    options: dict[str, object] = {
        "max_connections": connections,
        "timeout": call_timeout,
        "socket_timeout": call_timeout,
        "retry": Retry(ConstantBackoff(0.01), 1),
        "health_check_interval": HEALTH_CHECK_INTERVAL,
        # With these on, redis-py 8 no longer checks a pooled connection for an answer that nobody read.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if not url.startswith("unix:"):
        options["socket_connect_timeout"] = call_timeout
    try:
        pool = BlockingConnectionPool.from_url(url, **options)
    except (ValueError, TypeError):
        # What the parser says may quote the password.
        raise ConfigError(["REDIS_URL is not a redis://, rediss:// or unix:// address"]) from None
    return Redis(connection_pool=pool)


def _header(key: str) -> bytes:
    return b"pnl1 " + key.encode() + b"\n"


def _pattern(prefix: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"


async def _sweep(client: Redis, prefix: str) -> None:
    batch: list[bytes] = []
    async for key in client.scan_iter(match=_pattern(prefix), count=SCAN_BATCH):
        batch.append(key)
        if len(batch) >= SCAN_BATCH:
            await client.unlink(*batch)
            batch.clear()
    if batch:
        await client.unlink(*batch)


async def _count(client: Redis, prefix: str) -> int | None:
    """Our keys, or None in a keyspace too large to walk for a mere figure."""
    if await client.dbsize() > 20 * SCAN_BATCH:
        return None
    return len({key async for key in client.scan_iter(match=_pattern(prefix), count=SCAN_BATCH)})


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
