"""Redis stopped, frozen, full, foreign and locked: a reader of the cache gets a miss at worst."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio
from loguru import logger

from pnl_backend.cache.base import TierDown, TierError
from pnl_backend.cache.redis import RedisTier
from pnl_backend.cache.tiered import TieredCache, open_cache
from pnl_backend.errors import ConfigError
from tests.redis_server import RedisServer
from tests.waiting import until


@pytest.fixture
async def cache(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[TieredCache]:
    built = await open_cache(
        redis_url=redis_server.url, sqlite_path=tmp_path / "cache.db", default_ttl=60, memory_size=1
    )
    yield built
    await built.close()


@pytest.fixture
async def tier(redis_server: RedisServer) -> AsyncIterator[RedisTier]:
    built = RedisTier(url=redis_server.url)
    await built.open()
    yield built
    await built.close()


@pytest.fixture
async def other(redis_server: RedisServer) -> AsyncIterator[redis.asyncio.Redis]:
    """Somebody else's client on the same server."""
    client = redis.asyncio.Redis.from_url(redis_server.url)
    yield client
    await client.aclose()


@pytest.mark.parametrize("fault", ["stopped", "frozen"])
async def test_failure_and_recovery_under_load(cache: TieredCache, redis_server: RedisServer, fault: str) -> None:
    stop = asyncio.Event()
    served = [0] * 8

    async def load(worker: int) -> None:
        while not stop.is_set():
            served[worker] += 1
            key = f"kalshi:{worker}-{served[worker] % 5}"
            value = f"{key} {served[worker]}".encode()
            await cache.set(key, value)
            hit = await cache.get(key)
            assert hit is not None
            # One writer a key, so the newest is the only right answer, whichever tier has it.
            assert hit.value == value
            await asyncio.sleep(0.005)

    async def everyone_is_served() -> None:
        before = served.copy()
        await until(lambda: all(now > then + 10 for now, then in zip(served, before, strict=True)))

    workers = [asyncio.create_task(load(worker)) for worker in range(8)]
    await everyone_is_served()
    if fault == "stopped":
        await redis_server.stop()
    else:
        redis_server.freeze()
    await until(lambda: cache.health().redis == "down")
    await everyone_is_served()
    if fault == "stopped":
        await redis_server.start()
    else:
        redis_server.thaw()
    await until(lambda: cache.health().redis == "connected")
    await everyone_is_served()
    stop.set()
    await asyncio.gather(*workers)


async def test_an_outage_is_logged_once_and_its_end_once(tier: RedisTier, redis_server: RedisServer) -> None:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="INFO")
    try:
        await redis_server.stop()
        await until(lambda: tier.status == "down")
        for _ in range(50):
            with pytest.raises(TierDown):
                await tier.get("kalshi:a")
        await redis_server.start()
        await until(lambda: tier.status == "connected")
    finally:
        logger.remove(sink)
    assert len(said) == 2
    assert said[0].startswith("Redis is down")
    assert "50 calls were made without it" in said[1]


async def test_what_could_not_be_deleted_does_not_come_back(tier: RedisTier, redis_server: RedisServer) -> None:
    await tier.set("kalshi:a", b"old", 60)
    await tier.set("kalshi:b", b"old", 60)
    await tier.set("kalshi:c", b"good", 60)
    redis_server.freeze()
    with pytest.raises(TierError):
        await tier.delete("kalshi:a")
    with pytest.raises(TierError):
        await tier.set("kalshi:b", b"new", 60)
    await until(lambda: tier.status == "down")
    redis_server.thaw()
    await until(lambda: tier.status == "connected")
    assert await tier.get("kalshi:a") is None
    assert await tier.get("kalshi:b") is None
    held = await tier.get("kalshi:c")
    assert held is not None
    assert held.value == b"good"


async def test_a_clear_that_failed_is_repeated(tier: RedisTier, redis_server: RedisServer) -> None:
    for number in range(20):
        await tier.set(f"kalshi:{number}", b"old", 60)
    redis_server.freeze()
    with pytest.raises(TierError):
        await tier.clear()
    await until(lambda: tier.status == "down")
    redis_server.thaw()
    await until(lambda: tier.status == "connected")
    for number in range(20):
        assert await tier.get(f"kalshi:{number}") is None


async def test_others_keys_are_left_alone_and_what_no_tier_writes_is_no_value(
    tier: RedisTier, other: redis.asyncio.Redis
) -> None:
    await other.set("not-ours", b"1")
    await other.rpush("pnl:kalshi:list", b"1")
    await other.set("pnl:kalshi:eternal", b"1")
    with pytest.raises(TierError):
        await tier.get("kalshi:list")
    assert await tier.get("kalshi:eternal") is None
    assert tier.status == "connected"
    await tier.clear()
    assert await other.keys("*") == [b"not-ours"]


async def test_a_refusal_is_an_error_and_no_outage(tier: RedisTier, other: redis.asyncio.Redis) -> None:
    await tier.set("kalshi:a", b"1", 60)
    await other.config_set("maxmemory", "1")
    with pytest.raises(TierError, match="maxmemory"):
        await tier.set("kalshi:b", b"1", 60)
    held = await tier.get("kalshi:a")
    assert held is not None
    assert tier.status == "connected"


async def test_the_size_is_that_of_our_own_keys(redis_server: RedisServer, other: redis.asyncio.Redis) -> None:
    for number in range(7):
        await other.set(f"pnl:kalshi:{number}", b"1")
    await other.set("not-ours", b"1")
    tier = RedisTier(url=redis_server.url)
    await tier.open()
    assert tier.size() == 7
    await tier.close()


async def test_callers_that_give_up_leave_no_answer_to_the_next(tier: RedisTier) -> None:
    chance = random.Random(7)
    for number in range(20):
        await tier.set(f"kalshi:{number}", str(number).encode() * 3000, 60)

    async def read(number: int) -> None:
        held = await tier.get(f"kalshi:{number}")
        assert held is not None
        assert held.value == str(number).encode() * 3000

    async def impatient(number: int) -> None:
        task = asyncio.create_task(read(number))
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for _ in range(40):
        await asyncio.gather(*(impatient(chance.randrange(20)) for _ in range(10)))
        await asyncio.gather(*(read(chance.randrange(20)) for _ in range(10)))


async def test_a_wrong_password_is_down_and_is_not_shown(tmp_path: Path, redis_server: RedisServer) -> None:
    await redis_server.stop()
    await redis_server.start("--requirepass", "correct-horse-battery")
    said: list[str] = []
    sink = logger.add(lambda message: said.append(str(message)), level="DEBUG")
    try:
        tier = RedisTier(url=f"redis://:hunter2-secret@127.0.0.1:{redis_server.port}/0")
        await tier.open()
        assert tier.status == "down"
        await tier.close()
    finally:
        logger.remove(sink)
    assert said
    assert "hunter2" not in "".join(said)
    right = RedisTier(url=f"redis://:correct-horse-battery@127.0.0.1:{redis_server.port}/3")
    await right.open()
    await right.set("kalshi:a", b"1", 60)
    assert await right.get("kalshi:a") is not None
    await right.close()


@pytest.mark.parametrize("url", ["http://u:hunter2@localhost", "redis://u:hunter2@localhost:port/0", "nonsense"])
def test_an_invalid_address_stops_the_start_and_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisTier(url=url)
    assert "REDIS_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
