"""A guard around a fetcher that fails: the breaker, the pauses between attempts, what is logged and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pnl_backend.errors import FetchError, UpstreamRateLimited
from pnl_backend.ingest.guard import BreakerStatus, Outcome
from tests.ingest.script import WALL, fail
from tests.support.snapshots import guarded


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
