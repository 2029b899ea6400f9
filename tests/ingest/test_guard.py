"""A guard's readings: who fetches, what is held, what the cache gives."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from pnl_backend.domain.classic import CLASSIC
from pnl_backend.domain.readings import Fetched, KalshiPortfolio, Revenue
from pnl_backend.errors import FetchError, InvalidResponse
from pnl_backend.sources.registry import known
from tests.ingest.script import WALL, Script, fail
from tests.support.snapshots import guarded


async def test_a_reading_younger_than_the_poll_interval_is_returned_as_it_is(guard, script, mono):
    script.answers = [1, 2]
    first = await guard.read()
    assert (first.value, first.tier, first.status, first.error) == (Revenue(1, 1), "live", "live", None)
    assert first.fetched_at == int(WALL * 1000)
    mono.at += 14.8
    assert await guard.read() == first
    mono.at += 0.2
    assert (await guard.read()).value == Revenue(2, 2)
    assert script.calls == 2


async def test_five_hundred_callers_make_one_fetch(guard, script):
    script.answers, script.gate = [1], asyncio.Event()
    readers = [asyncio.create_task(guard.read()) for _ in range(500)]
    await asyncio.sleep(0)
    script.gate.set()
    readings = await asyncio.gather(*readers)
    assert script.calls == 1
    assert {reading.value for reading in readings} == {Revenue(1, 1)}


async def test_an_impatient_or_cancelled_caller_does_not_cancel_the_fetch(guard, script):
    script.answers, script.gate = [1], asyncio.Event()
    waiting = asyncio.create_task(guard.read())
    reading = await guard.read(patience=0)
    assert (reading.value, reading.tier, reading.status) == (None, "fallback", "degraded")
    assert "no answer yet" in reading.error
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    script.gate.set()
    assert (await guard.read()).value == Revenue(1, 1)
    assert (script.calls, script.cancelled) == (1, 0)


async def test_a_slow_refresh_leaves_the_held_reading_live_until_it_is_overdue(guard, script, mono, cache):
    script.answers = [1]
    await guard.read()
    await cache.written.wait()
    script.gate = asyncio.Event()
    mono.at += 20
    assert (await guard.read(patience=0)).status == "live"
    mono.at += 0.5
    overdue = await guard.read(patience=0)
    assert (overdue.value, overdue.status, overdue.tier) == (Revenue(1, 1), "stale", "memory")
    assert "waiting for an answer" in overdue.error
    script.gate.set()
    assert (await guard.read()).status == "live"


async def test_a_failure_gives_the_last_good_reading_with_its_tier_and_the_reason(guard, script, mono, cache):
    script.answers = [1]
    await guard.read()
    await cache.written.wait()
    script.answers = [InvalidResponse("John's revenue: invoiced is missing")]
    mono.at += 15
    stale = await guard.read()
    assert (stale.value, stale.tier, stale.status) == (Revenue(1, 1), "memory", "stale")
    assert (stale.as_of, stale.fetched_at) == (1, int(WALL * 1000))
    assert stale.error == "John's revenue: invoiced is missing"
    cache.tier = "sqlite"
    assert (await guard.read()).tier == "sqlite"


async def test_a_new_process_finds_the_last_reading_in_the_cache(script, cache, mono, wall):
    cache.held["reading:johns"] = known("johns").codec.encode(Fetched(Revenue(Decimal(7), Decimal(7)), as_of=70))
    cache.tier = "redis"
    script.answers = [FetchError("down")]
    guard = guarded("johns", script, cache, poll_interval=15, timeout=5, clock=wall, monotonic=mono)
    reading = await guard.read()
    assert (reading.value, reading.as_of, reading.tier, reading.error) == (Revenue(7, 7), 70, "redis", "down")
    await guard.close()


async def test_what_is_saved_decodes_to_what_was_fetched(guard, script, cache):
    script.answers = [3]
    await guard.read()
    await cache.written.wait()
    assert known("johns").codec.decode(cache.held["reading:johns"]) == Fetched(Revenue(Decimal(3), Decimal(3)), as_of=3)


async def test_a_broken_cache_breaks_no_read(guard, script, cache, mono, lines):
    cache.error = ConnectionError("redis is gone")
    script.answers = [1]
    assert (await guard.read()).status == "live"
    await fail(guard, script, mono, 3)
    reading = await guard.read()
    assert (reading.value, reading.tier, reading.status) == (Revenue(1, 1), "fallback", "stale")
    assert sum("redis is gone" in line for line in lines) == 2  # once for reading, once for writing


@pytest.mark.parametrize(
    "junk",
    [b"", b"\x80\x04junk", b'{"v": 9}', known("kalshi").codec.encode(Fetched(KalshiPortfolio(Decimal(1), ()), 1))],
)
async def test_corrupt_cached_bytes_are_skipped(guard, script, cache, junk, lines):
    cache.held["reading:johns"] = junk
    script.answers = [FetchError("down")]
    reading = await guard.read()
    assert (reading.value, reading.status, reading.error) == (None, "degraded", "down")
    assert sum("could not be decoded" in line for line in lines) == 1


async def test_an_older_cached_reading_does_not_replace_the_held_one(guard, script, cache, mono):
    script.answers = [5]
    await guard.read()
    await cache.written.wait()
    cache.held["reading:johns"] = known("johns").codec.encode(Fetched(Revenue(Decimal(4), Decimal(4)), as_of=4))
    await fail(guard, script, mono, 1)
    reading = await guard.read()
    assert (reading.value, reading.tier) == (Revenue(5, 5), "fallback")


def test_the_services_names_are_the_wire_contracts(cache):
    names = {source: guarded(source, Script(), cache, poll_interval=1, timeout=1).service for source in CLASSIC}
    assert names == {"kalshi": "kalshi", "anthropic": "anthropic", "johns": "johns_revenue"}
