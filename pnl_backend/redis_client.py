"""The Redis client library behind one import: connections with time limits, and commands that several parts use."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.lock import Lock
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    LockError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from pnl_backend.errors import ConfigError

__all__ = [
    "BATCH",
    "FAILURES",
    "Lock",
    "LockError",
    "Redis",
    "connect",
    "count",
    "is_refusal",
    "read",
    "reason",
    "sweep",
    "try_out",
]

HEALTH_CHECK_INTERVAL = 20
BATCH = 500
"""Keys in one command."""

FAILURES = (RedisError, OSError, TimeoutError)

TRY_TIMEOUT = 3.0
"""Seconds for `try_out`: a TLS handshake can take longer than a cache call may."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why Redis cannot be used; `lasting` if only a change of a setting, here or in Redis, can mend it."""

    detail: str
    lasting: bool


def connect(url: str, connections: int, call_timeout: float, *, setting: str = "REDIS_URL") -> Redis:
    """A client with a pool of `connections`; `call_timeout` is in seconds.

    ConfigError that names the `setting` if `url` is no Redis address.
    """
    options: dict[str, object] = {
        "max_connections": connections,
        "timeout": call_timeout,
        "socket_timeout": call_timeout,
        "retry": Retry(ConstantBackoff(0.01), 1),
        "health_check_interval": HEALTH_CHECK_INTERVAL,
        # With these on, redis-py 8 no longer checks a pooled connection for an answer that was not read.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if not url.startswith("unix:"):
        options["socket_connect_timeout"] = call_timeout
    try:
        pool = BlockingConnectionPool.from_url(url, **options)
    except (ValueError, TypeError):
        # The parser's own message may contain the password.
        raise ConfigError([f"{setting} is not a redis://, rediss:// or unix:// address"]) from None
    return Redis(connection_pool=pool)


def is_refusal(error: BaseException) -> bool:
    """Whether Redis is up and replied with an error (out of memory, a read-only replica)."""
    return isinstance(error, ResponseError) and not isinstance(error, RedisConnectionError)


def reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


async def read(client: Redis, *, keys: Sequence[str]) -> list[tuple[object, object]]:
    """Remaining time to live in ms, and value, of each key.

    The time to live is read before the value: after a write in between the value only expires too early. MULTI is not
    used, because a Redis that is out of memory refuses even reads inside one.
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
    """The number of our keys; None if the keyspace is too large to be scanned."""
    if await client.dbsize() > 20 * BATCH:
        return None
    return len({key async for key in client.scan_iter(match=_pattern(prefix), count=BATCH)})


def _pattern(prefix: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"


async def try_out(url: str, *, setting: str = "REDIS_URL") -> Problem | None:
    """Connect and ping once; None when that works. `setting` is named in what to change."""
    client = connect(url, 1, TRY_TIMEOUT, setting=setting)
    try:
        async with asyncio.timeout(TRY_TIMEOUT):
            await client.ping()
    except FAILURES as error:
        return _problem(error, url, setting)
    finally:
        with contextlib.suppress(*FAILURES):
            await client.aclose()
            await client.connection_pool.disconnect()
    return None


def _problem(error: BaseException, url: str, setting: str) -> Problem:
    for cause in _causes(error):
        if detail := _wrong_setting(cause, url, setting):
            return Problem(detail, lasting=True)
    if is_refusal(error):
        return Problem(f"answers with an error: {error}", lasting=False)
    detail = f"does not answer ({reason(error)})"
    if url.startswith("rediss:") and isinstance(error, TimeoutError | RedisTimeoutError):
        detail = f"does not answer the TLS handshake: if that port has no TLS, use redis:// in {setting}"
    elif url.startswith("redis:") and "closed by server" in str(error):
        detail = f"closes the connection at once: if that port has TLS, use rediss:// in {setting}"
    return Problem(detail, lasting=False)


def _wrong_setting(cause: BaseException, url: str, setting: str) -> str | None:
    """What to change in the setting or in Redis; None for an error that may end by itself."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"the port has no TLS ({cause.reason}): use redis:// in {setting}"
    if isinstance(cause, NoPermissionError | AuthorizationError):
        return f"the user of {setting} lacks a permission"
    if isinstance(cause, AuthenticationError):
        if urlsplit(url).password is None:
            return f"requires a password: put it into {setting} before the host, as :password@"
        return f"refuses the user or the password of {setting}"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
