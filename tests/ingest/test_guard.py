"""The guard around a fetcher that does as it is told, with a clock that only moves when a test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest
from loguru import logger

from pnl_backend.domain.classic import CLASSIC
from pnl_backend.domain.readings import Fetched, KalshiPortfolio, Revenue
from pnl_backend.errors import FetchError, InvalidResponse, UpstreamRateLimited
from pnl_backend.ingest.guard import BreakerStatus, Guard, Outcome
from pnl_backend.sources.registry import known
from tests.sources.support import Cache, Clock
from tests.support.snapshots import guarded

WALL = 1_772_058_240.0


class Script:
    """A fetcher that answers with the next of what it was handed; an Event is waited for first."""

    def __init__(self) -> None:
        self.calls = 0
        self.answers: list[object] = []
        self.gate: asyncio.Event | None = None
        self.cancelled = 0
        self._called = asyncio.Condition()

    async def asked(self, times: int) -> None:
        """Wait until so many fetches have begun."""
        async with self._called:
            await self._called.wait_for(lambda: self.calls >= times)

    async def fetch(self) -> Fetched[Revenue]:
        async with self._called:
            self.calls += 1
            self._called.notify_all()
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, int)
        return Fetched(Revenue(Decimal(answer), Decimal(answer)), as_of=answer)


@pytest.fixture
def wall() -> Clock:
    return Clock(WALL)


@pytest.fixture
def mono() -> Clock:
    return Clock(100.0)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def outcomes() -> list[Outcome]:
    return []


@pytest.fixture
async def guard(script: Script, cache: Cache, wall: Clock, mono: Clock, outcomes: list[Outcome]):
    made = guarded(
        "johns", script, cache, poll_interval=15, timeout=5, clock=wall, monotonic=mono, on_outcome=outcomes.append
    )
    yield made
    await made.close()


@pytest.fixture
def lines() -> list[str]:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(f"{message.record['level'].name} {message.record['message']}"))
    yield said
    logger.remove(sink)


async def fail(guard: Guard[Revenue], script: Script, mono: Clock, times: int) -> None:
    """Let so many fetches in a row fail, each when it is due."""
    script.answers = [FetchError("Acme answered 500")]
    for _ in range(times):
        mono.at += 15
        await guard.read()


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


async def test_five_failures_open_the_breaker_and_one_trial_closes_it(guard, script, mono, wall):
    await fail(guard, script, mono, 4)
    assert guard.status().state == "CLOSED"
    await fail(guard, script, mono, 1)
    assert guard.status() == BreakerStatus(
        state="OPEN",
        failure_count=5,
        last_failure_time=int(WALL * 1000),
        last_success_time=None,
        next_attempt_time=int((WALL + 60) * 1000),
    )
    mono.at += 59.9
    assert "circuit breaker open" in (await guard.read()).error
    assert script.calls == 5

    script.answers, script.gate = [8], asyncio.Event()
    mono.at += 0.1
    readers = [asyncio.create_task(guard.read()) for _ in range(50)]
    await script.asked(6)
    assert guard.status().state == "HALF_OPEN"
    script.gate.set()
    readings = await asyncio.gather(*readers)
    assert script.calls == 6
    assert {reading.status for reading in readings} == {"live"}
    assert guard.status() == BreakerStatus("CLOSED", 0, int(WALL * 1000), int(WALL * 1000), None)


async def test_a_failed_trial_opens_the_breaker_for_another_minute(guard, script, mono):
    await fail(guard, script, mono, 5)
    mono.at += 60
    await guard.read()
    assert (script.calls, guard.status().state) == (6, "OPEN")
    mono.at += 59
    await guard.read()
    assert script.calls == 6
    mono.at += 1
    script.answers = [1]
    assert (await guard.read()).status == "live"


async def test_a_jump_of_the_wall_clock_changes_nothing(guard, script, mono, wall):
    script.answers = [1]
    await guard.read()
    for jump in (3600, -7200):
        wall.at += jump
        assert (await guard.read()).status == "live"
    assert script.calls == 1
    await fail(guard, script, mono, 5)
    for jump in (86_400, -200_000):
        wall.at += jump
        await guard.read()
        assert guard.status().state == "OPEN"
    assert script.calls == 6


async def test_successes_in_between_keep_the_breaker_closed(guard, script, mono):
    script.answers = [FetchError("a"), FetchError("b"), FetchError("c"), FetchError("d"), 1] * 4
    for _ in range(20):
        mono.at += 15
        await guard.read()
    assert guard.status().state == "CLOSED"
    assert guard.status().failure_count == 0


async def test_reset_closes_the_breaker_and_asks_again_at_once(guard, script, mono):
    await fail(guard, script, mono, 5)
    script.answers = [1]
    guard.reset()
    assert guard.status().state == "CLOSED"
    assert guard.status().failure_count == 0
    assert (await guard.read()).status == "live"


async def test_other_failures_are_tried_again_within_five_seconds(guard, script, mono):
    script.answers = [FetchError("down"), 1]
    await guard.read()
    mono.at += 4.8
    assert (await guard.read()).error == "down"
    assert script.calls == 1
    mono.at += 0.2
    assert (await guard.read()).status == "live"


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 0.0), (20.0, 20.0), (86_400.0, 300.0)])
async def test_retry_after_is_honoured_up_to_five_minutes(guard, script, mono, asked, pause):
    script.answers = [UpstreamRateLimited("slow down", retry_after=asked), 1]
    await guard.read()
    if pause:
        mono.at += pause - 0.01
        await guard.read()
        assert script.calls == 1
        mono.at += 0.01
    assert (await guard.read()).status == "live"


async def test_a_rate_limit_without_retry_after_backs_off_exponentially(guard, script, mono):
    script.answers = [UpstreamRateLimited("slow down")]
    pauses = []
    for expected in range(1, 5):
        before = mono.at
        while script.calls < expected:
            await guard.read()
            if script.calls < expected:
                mono.at += 0.25
        pauses.append(mono.at - before)
    first, *rest = pauses
    assert first == 0
    for pause, base in zip(rest, (10, 20, 40), strict=True):
        assert base * 0.75 <= pause <= base * 1.25 + 0.25


async def test_the_deadline_is_a_failure(script, cache):
    script.answers, script.gate = [1], asyncio.Event()
    guard = guarded("johns", script, cache, poll_interval=15, timeout=0.05)
    reading = await guard.read()
    assert reading.error == "johns_revenue: the fetch took longer than 0.05 s"
    assert guard.status().failure_count == 1
    await guard.close()


async def test_a_crash_of_a_fetcher_is_a_failure_without_the_text_of_the_exception(guard, script, lines):
    script.answers = [KeyError("sk-ant-secret")]
    reading = await guard.read()
    assert reading.error == "johns_revenue: the fetch failed (KeyError)"
    assert sum(line.startswith("ERROR") for line in lines) == 1


async def test_close_cancels_the_fetch_in_flight_and_counts_no_failure(guard, script, mono):
    await fail(guard, script, mono, 4)
    script.gate = asyncio.Event()
    mono.at += 15
    await guard.read(patience=0)
    await guard.close()
    assert (script.calls, script.cancelled) == (5, 1)
    assert (guard.status().state, guard.status().failure_count) == ("CLOSED", 4)
    mono.at += 100
    assert (await guard.read()).status == "degraded"
    assert script.calls == 5


async def test_a_cancelled_trial_decides_nothing(guard, script, mono):
    await fail(guard, script, mono, 5)
    script.gate = asyncio.Event()
    mono.at += 60
    await guard.read(patience=0)
    assert guard.status().state == "HALF_OPEN"
    await guard.close()
    assert guard.status().state == "OPEN"


async def test_an_outage_is_logged_once_and_its_end_once(guard, script, mono, lines):
    await fail(guard, script, mono, 5)
    mono.at += 60
    await guard.read()
    script.answers = [1]
    mono.at += 60
    await guard.read()
    mono.at += 15
    await guard.read()
    assert lines == [
        "WARNING johns_revenue: Acme answered 500 [upstream_error]",
        "WARNING johns_revenue: circuit breaker open after 5 failures, one trial every 60 s",
        "INFO johns_revenue: recovered after 6 failures",
    ]


async def test_every_outcome_is_reported_with_its_duration(script, cache, wall):
    told: list[Outcome] = []
    ticking: Callable[[], float] = iter(float(n) for n in range(1000)).__next__
    guard = guarded(
        "johns", script, cache, poll_interval=0.5, timeout=5, clock=wall, monotonic=ticking, on_outcome=told.append
    )
    error = FetchError("down")
    script.answers = [1, error, 2]
    for _ in range(3):
        await guard.read()
    await guard.close()
    assert [outcome.error for outcome in told] == [None, error, None]
    assert all(outcome.source == "johns" and outcome.seconds > 0 for outcome in told)


def test_the_services_names_are_the_wire_contracts(cache):
    names = {source: guarded(source, Script(), cache, poll_interval=1, timeout=1).service for source in CLASSIC}
    assert names == {"kalshi": "kalshi", "anthropic": "anthropic", "johns": "johns_revenue"}
