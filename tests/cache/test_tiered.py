"""The composite: which tier answers, what is promoted with what life, what is counted, and that nothing ever raises."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.cache.base import CacheHit, Entry, TierError, TierStatus
from pnl_backend.cache.fallback import FallbackTier
from pnl_backend.cache.memory import MemoryTier
from pnl_backend.cache.sqlite import SQLiteTier
from pnl_backend.cache.tiered import TieredCache, open_cache
from pnl_backend.domain.readings import Tier
from pnl_backend.wire.operations import CacheServices, TierStats
from tests.redis_server import RedisServer
from tests.waiting import until


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Held:
    """A tier on a given clock whose calls can be held up, made to fail and looked into."""

    name: Tier
    clock: Clock
    status: TierStatus = "connected"
    values: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    calls: int = 0
    failing: bool = False
    gate: asyncio.Event | None = None

    async def _enter(self) -> None:
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failing:
            raise TierError("told to fail")

    async def get(self, key: str) -> Entry | None:
        found = self.values.get(key)
        await self._enter()
        if found is None or found[1] <= self.clock():
            return None
        return Entry(found[0], found[1] - self.clock())

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        await self._enter()
        self.values[key] = (value, self.clock() + ttl)

    async def delete(self, key: str) -> None:
        await self._enter()
        self.values.pop(key, None)

    async def delete_prefix(self, prefix: str) -> None:
        await self._enter()
        self.values = {key: held for key, held in self.values.items() if not key.startswith(prefix)}

    async def clear(self) -> None:
        await self._enter()
        self.values.clear()

    async def close(self) -> None:
        pass

    def size(self) -> int:
        return len(self.values)


class House:
    """Memory and fallback as they are, the two between them on command."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.memory = MemoryTier(clock=self.clock)
        self.redis = Held("redis", self.clock)
        self.sqlite = Held("sqlite", self.clock)
        self.fallback = FallbackTier()
        self.calls: list[tuple[str, str]] = []
        self.cache = TieredCache(
            (self.memory, self.redis, self.sqlite, self.fallback),
            default_ttl=300,
            on_call=lambda tier, operation, seconds: self.calls.append((tier, operation)),
        )


@pytest.fixture
def house() -> House:
    return House()


async def test_each_tier_answers_when_those_above_have_nothing(house: House) -> None:
    await house.cache.set("kalshi:reading", b"1")
    assert await house.cache.get("kalshi:reading") == CacheHit(b"1", "memory")
    await house.memory.clear()
    assert await house.cache.get("kalshi:reading") == CacheHit(b"1", "redis")
    await house.memory.clear()
    await house.redis.clear()
    assert await house.cache.get("kalshi:reading") == CacheHit(b"1", "sqlite")
    assert await house.cache.get("kalshi:reading") == CacheHit(b"1", "memory")
    house.clock.now += 301
    assert await house.cache.get("kalshi:reading") == CacheHit(b"1", "fallback")
    assert await house.cache.get("kalshi:reading", stale=False) is None
    assert await house.cache.get("kalshi:never") is None


@given(
    ttl=st.floats(0.01, 1e6),
    waits=st.lists(st.floats(0, 1e6), max_size=6),
    found_in=st.sampled_from(["redis", "sqlite"]),
)
def test_a_promoted_value_expires_no_later_than_the_original(ttl: float, waits: list[float], found_in: str) -> None:
    async def scenario() -> None:
        house = House()
        lower = house.redis if found_in == "redis" else house.sqlite
        born = house.clock.now
        await lower.set("kalshi:reading", b"1", ttl)
        for wait in waits:
            house.clock.now += wait
            hit = await house.cache.get("kalshi:reading")
            fresh = house.clock.now < born + ttl
            # One rounding of a sum at the very edge may go either way.
            if abs(house.clock.now - born - ttl) > 1e-6:
                assert (hit is not None) is fresh

    asyncio.run(scenario())


@pytest.mark.parametrize("ttl", [0.5, 10.0, 3000.0])
@pytest.mark.parametrize("found_in", ["redis", "sqlite"])
async def test_a_promoted_value_has_exactly_the_remaining_time_to_live(house: House, ttl: float, found_in: str) -> None:
    lower = house.redis if found_in == "redis" else house.sqlite
    await lower.set("kalshi:reading", b"1", ttl)
    house.clock.now += ttl / 2
    assert await house.cache.get("kalshi:reading") == CacheHit(b"1", lower.name)
    above = [house.memory] if found_in == "redis" else [house.memory, house.redis]
    for tier in above:
        entry = await tier.get("kalshi:reading")
        assert entry is not None
        assert entry.ttl == pytest.approx(ttl / 2)
    await lower.clear()
    house.clock.now += ttl * 0.49
    assert await house.cache.get("kalshi:reading") == CacheHit(b"1", "memory")
    house.clock.now += ttl * 0.02
    assert await house.cache.get("kalshi:reading") is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["set", "get", "delete", "wait", "fail"]))))
def test_what_is_read_is_the_last_written_or_nothing(steps: list[tuple[str, str]]) -> None:
    async def scenario() -> None:
        house = House()
        truth: dict[str, tuple[bytes, float]] = {}
        for number, (key, step) in enumerate(steps):
            match step:
                case "set":
                    await house.cache.set(f"kalshi:{key}", str(number).encode(), 10)
                    truth[key] = (str(number).encode(), house.clock.now + 10)
                case "delete":
                    await house.cache.delete(f"kalshi:{key}")
                    truth.pop(key, None)
                case "wait":
                    house.clock.now += 4
                case "fail":
                    # A read may fail anywhere at any time; what cannot be read is missing, never wrong.
                    house.redis.failing = not house.redis.failing
                    await house.cache.get(f"kalshi:{key}", stale=False)
                    house.redis.failing = not house.redis.failing
                case "get":
                    hit = await house.cache.get(f"kalshi:{key}", stale=False)
                    value, expires = truth.get(key, (b"", 0.0))
                    assert (hit and hit.value) == (value if expires > house.clock.now else None)

    asyncio.run(scenario())


async def test_a_read_that_began_before_a_write_does_not_undo_it(house: House) -> None:
    await house.redis.set("kalshi:reading", b"old", 60)
    house.redis.gate = asyncio.Event()
    reading = asyncio.create_task(house.cache.get("kalshi:reading"))
    await until(lambda: house.redis.calls == 2)
    writing = asyncio.create_task(house.cache.set("kalshi:reading", b"new"))
    await until(lambda: house.redis.calls == 3)
    house.redis.gate.set()
    await asyncio.gather(reading, writing)
    assert await house.cache.get("kalshi:reading") == CacheHit(b"new", "memory")


async def test_many_misses_at_once_read_the_slower_tiers_once(house: House) -> None:
    await house.redis.set("kalshi:reading", b"1", 60)
    house.redis.calls = 0
    house.redis.gate = asyncio.Event()
    readers = [asyncio.create_task(house.cache.get("kalshi:reading")) for _ in range(500)]
    await until(lambda: house.redis.calls == 1)
    readers[0].cancel()
    house.redis.gate.set()
    outcomes = await asyncio.gather(*readers, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert set(outcomes[1:]) == {CacheHit(b"1", "redis")}
    assert house.redis.calls == 1


async def test_failing_tiers_are_counted_and_passed_by(house: House) -> None:
    house.redis.failing = house.sqlite.failing = True
    await house.cache.set("kalshi:reading", b"1")
    await house.memory.clear()
    assert await house.cache.get("kalshi:reading") == CacheHit(b"1", "fallback")
    await house.cache.delete("kalshi:reading")
    await house.cache.delete_prefix("kalshi:")
    await house.cache.clear()
    tiers = house.cache.stats().tiers
    assert (tiers.redis.errors, tiers.redis.misses, tiers.redis.sets) == (5, 1, 0)
    assert house.cache.stats().errors == 10
    assert await house.cache.get("kalshi:reading") is None


async def test_invalidation_keeps_the_last_known_good_and_clearing_does_not(house: House) -> None:
    for key in ("kalshi:a", "kalshi:b", "johns:a"):
        await house.cache.set(key, b"1")
    await house.cache.delete("kalshi:a")
    await house.cache.delete_prefix("kalshi:b")
    assert await house.cache.get("kalshi:a", stale=False) is None
    assert await house.cache.get("kalshi:a") == CacheHit(b"1", "fallback")
    assert await house.cache.get("kalshi:b") == CacheHit(b"1", "fallback")
    assert await house.cache.get("johns:a") == CacheHit(b"1", "memory")
    await house.cache.clear()
    for key in ("kalshi:a", "kalshi:b", "johns:a"):
        assert await house.cache.get(key) is None


async def test_counts_what_the_contract_shows(house: House) -> None:
    await house.cache.set("kalshi:reading", b"1")
    for _ in range(3):
        await house.cache.get("kalshi:reading")
    await house.cache.get("johns:reading")
    await house.cache.delete("kalshi:reading")
    stats = house.cache.stats()
    names = ("hits", "misses", "sets", "deletes", "errors", "total", "hitRate")
    assert {name: getattr(stats, name) for name in names} == {
        "hits": 3,
        "misses": 1,
        "sets": 1,
        "deletes": 1,
        "errors": 0,
        "total": 4,
        "hitRate": "75.00%",
    }
    assert stats.processCacheSize == 0
    assert stats.tiers.memory.hits == 3
    assert stats.tiers.memory.p99Ms >= stats.tiers.memory.p50Ms > 0
    assert stats.keys["kalshi"].hits == 3
    assert stats.keys["johns"].misses == 1
    assert stats.keys["kalshi"].tiers["memory"].hits == 3
    assert house.calls.count(("memory", "hit")) == 3
    assert house.calls.count(("fallback", "miss")) == 1


async def test_a_last_known_good_is_no_hit(house: House) -> None:
    house.fallback.seed([("kalshi:reading", b"1")])
    assert await house.cache.get("kalshi:reading") == CacheHit(b"1", "fallback")
    assert house.cache.stats().hitRate == "0.00%"
    assert house.cache.stats().tiers.fallback.hits == 1


async def test_endless_families_are_counted_together(house: House) -> None:
    for number in range(500):
        await house.cache.get(f"made-up-{number}:x")
    families = house.cache.stats().keys
    assert len(families) <= 65
    assert sum(counted.misses for counted in families.values()) == 500


async def test_a_time_to_live_must_be_positive(house: House) -> None:
    with pytest.raises(ValueError, match="positive"):
        await house.cache.set("kalshi:reading", b"1", 0)


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


async def test_closing_waits_for_readers(house: House) -> None:
    await house.redis.set("kalshi:reading", b"1", 60)
    house.redis.gate = asyncio.Event()
    reading = asyncio.create_task(house.cache.get("kalshi:reading"))
    await until(lambda: house.redis.calls == 2)
    closing = asyncio.create_task(house.cache.close())
    await asyncio.sleep(0)
    house.redis.gate.set()
    await closing
    assert await reading == CacheHit(b"1", "redis")


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


async def test_a_write_that_is_cancelled_before_it_begins_leaves_nothing_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    unawaited: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unawaited.append)  # what a warning in a destructor becomes
    writing = asyncio.create_task(house.cache.delete("a"))
    asyncio.get_running_loop().call_soon(writing.cancel)  # after the write has made its tasks, before those run
    with pytest.raises(asyncio.CancelledError):
        await writing
    gc.collect()
    assert unawaited == []
