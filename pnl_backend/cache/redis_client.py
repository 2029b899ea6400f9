"""All we ask of Redis, through the one client library we use for it: short commands, each bounded in time."""

from __future__ import annotations

import re
from collections.abc import Sequence

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from pnl_backend.errors import ConfigError

__all__ = ["BATCH", "FAILURES", "Redis", "connect", "count", "is_refusal", "read", "reason", "sweep"]

HEALTH_CHECK_INTERVAL = 20
BATCH = 500
"""Keys in one command."""

FAILURES = (RedisError, OSError, TimeoutError)


def connect(url: str, connections: int, call_timeout: float) -> Redis:
    """A client with a pool of so many connections, each bounded by `call_timeout` (s); ConfigError for no address."""
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


def is_refusal(error: BaseException) -> bool:
    """Whether Redis is there and said no (out of memory, a read-only replica), rather than being away."""
    return isinstance(error, ResponseError) and not isinstance(error, RedisConnectionError)


def reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


async def read(client: Redis, *, keys: Sequence[str]) -> list[tuple[object, object]]:
    """Remaining life in ms and value of each key.

    The life before the value: a write in between can only make the value seem older than it is. No MULTI, because a
    Redis that is full refuses even reads inside one.
    """
    async with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.pttl(key)
            pipeline.get(key)
        answers = await pipeline.execute(raise_on_error=False)
    return list(zip(answers[::2], answers[1::2], strict=True))


async def sweep(client: Redis, prefix: str) -> None:
    """Remove every key that begins with `prefix`."""
    batch: list[bytes] = []
    async for key in client.scan_iter(match=_pattern(prefix), count=BATCH):
        batch.append(key)
        if len(batch) >= BATCH:
            await client.unlink(*batch)
            batch.clear()
    if batch:
        await client.unlink(*batch)


async def count(client: Redis, prefix: str) -> int | None:
    """Our keys, or None in a keyspace too large to walk for a mere figure."""
    if await client.dbsize() > 20 * BATCH:
        return None
    return len({key async for key in client.scan_iter(match=_pattern(prefix), count=BATCH)})


def _pattern(prefix: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"
