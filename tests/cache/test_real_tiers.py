"""The tiered cache over a real Redis and real SQLite files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.cache.base import CacheHit
from pnl_backend.cache.sqlite import SQLiteTier
from pnl_backend.cache.tiered import TieredCache, open_cache
from pnl_backend.wire.operations import CacheServices, TierStats
from tests.redis_server import RedisServer


@pytest.fixture
async def real(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[TieredCache]:
    cache = await open_cache(redis_url=redis_server.url, sqlite_path=tmp_path / "cache.db", default_ttl=60)
    yield cache
    await cache.close()


async def test_health_in_the_words_of_the_contract(real: TieredCache, tmp_path: Path) -> None:
    assert real.health() == CacheServices(processCache="healthy", redis="connected", sqlite="connected")
    without = await open_cache(redis_url=None, sqlite_path=tmp_path, default_ttl=60)
    assert without.health() == CacheServices(processCache="healthy", redis="disabled", sqlite="down")
    await without.set("kalshi:reading", b"1")
    assert await without.get("kalshi:reading") == CacheHit(b"1", "memory")
    assert without.stats().tiers.redis == TierStats(
        **dict.fromkeys(("hits", "misses", "sets", "deletes", "errors", "size"), 0),
        status="disabled",
        p50Ms=0.0,
        p99Ms=0.0,
    )
    await without.close()


async def test_five_hundred_at_once_over_real_tiers(tmp_path: Path, redis_server: RedisServer) -> None:
    def opened(memory_size: int) -> Any:
        return open_cache(
            redis_url=redis_server.url,
            sqlite_path=tmp_path / "cache.db",
            default_ttl=60,
            memory_size=memory_size,
        )

    writer: TieredCache = await opened(4096)
    for number in range(100):
        await writer.set(f"kalshi:{number}", str(number).encode())
    await writer.close()

    reader: TieredCache = await opened(10)
    hits = await asyncio.gather(*(reader.get(f"kalshi:{index % 100}") for index in range(500)))
    assert [hit and hit.value for hit in hits] == [str(index % 100).encode() for index in range(500)]
    await reader.close()


async def test_a_restart_with_everything_expired_still_has_the_last_good_reading(tmp_path: Path) -> None:
    first = await open_cache(redis_url=None, sqlite_path=tmp_path / "cache.db", default_ttl=0.01)
    await first.set("kalshi:reading", b"old")
    await first.set("kalshi:reading", b"good")
    await first.set("johns:reading", b"kept", 1000)
    await first.delete("johns:reading")
    await first.close()
    second = await open_cache(redis_url=None, sqlite_path=tmp_path / "cache.db", default_ttl=60)
    while await second.get("kalshi:reading", stale=False):  # noqa: ASYNC110 - an expiry sets no event
        await asyncio.sleep(0.01)
    assert await second.get("kalshi:reading") == CacheHit(b"good", "fallback")
    assert await second.get("johns:reading") == CacheHit(b"kept", "fallback")
    await second.clear()
    await second.close()
    third = await open_cache(redis_url=None, sqlite_path=tmp_path / "cache.db", default_ttl=60)
    assert await third.get("kalshi:reading") is None
    await third.close()


async def test_namespaces_never_meet(tmp_path: Path, redis_server: RedisServer) -> None:
    caches = [
        await open_cache(
            redis_url=redis_server.url, sqlite_path=tmp_path / "cache.db", default_ttl=60, namespace=namespace
        )
        for namespace in ("demo", "account", "demo2")
    ]
    demo, account, _ = caches
    await demo.set("kalshi:reading", b"play money")
    assert await account.get("kalshi:reading") is None
    await account.set("kalshi:reading", b"money")
    await demo.clear()
    await account.close()
    again = await open_cache(
        redis_url=redis_server.url, sqlite_path=tmp_path / "cache.db", default_ttl=60, namespace="account"
    )
    assert await again.get("kalshi:reading") == CacheHit(b"money", "redis")
    for cache in (demo, caches[2], again):
        await cache.close()


async def test_a_key_family_with_many_writes_is_pruned_and_one_with_few_is_kept(tmp_path: Path) -> None:
    tier = SQLiteTier(tmp_path / "cache.db")
    await tier.open()
    for number in range(600):
        await tier.set(f"minute:{number}", b"x", 0.001)
    await tier.set("kalshi:reading", b"1", 0.001)
    kept = [key for key, _ in await tier.last_known()]
    assert len(kept) <= 357
    assert kept[-1] == "kalshi:reading"
    assert "minute:599" in kept
    await tier.close()
