"""The tiered cache on tiers that can be delayed and made to fail: which answers, what is promoted, what is counted."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.cache.base import CacheHit
from tests.cache.held import House
from tests.waiting import until


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
