"""The circuit breaker at the edges of its count and its timeout; time moves only when a test moves it."""

import asyncio

import pybreaker
import pytest

from pnl_backend.ingest.breaker import Breaker
from tests.sources.support import Clock


@pytest.fixture
def mono() -> Clock:
    return Clock(100.0)


@pytest.fixture
def breaker(mono: Clock) -> Breaker:
    return Breaker("acme", failure_threshold=5, reset_timeout=60, monotonic=mono)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(OSError, match="down"), breaker.calling():
            raise OSError("down")


def test_the_fifth_failure_in_a_row_opens_it_and_not_the_fourth(breaker):
    fail(breaker, 4)
    assert (breaker.state, breaker.failure_count, breaker.wait) == ("CLOSED", 4, 0)
    fail(breaker, 1)
    assert (breaker.state, breaker.failure_count, breaker.wait) == ("OPEN", 5, 60)


def test_nothing_runs_until_the_whole_timeout_is_over(breaker, mono):
    fail(breaker, 5)
    mono.at += 59.999
    assert breaker.wait == pytest.approx(0.001)
    ran = []
    with pytest.raises(pybreaker.CircuitBreakerError), breaker.calling():
        ran.append(1)
    mono.at += 0.001
    assert breaker.wait == 0
    with breaker.calling():
        ran.append(2)
        assert breaker.state == "HALF_OPEN"
    assert ran == [2]
    assert (breaker.state, breaker.failure_count) == ("CLOSED", 0)


def test_a_failed_trial_begins_the_timeout_again(breaker, mono):
    fail(breaker, 5)
    mono.at += 60
    fail(breaker, 1)
    assert (breaker.state, breaker.wait) == ("OPEN", 60)


def test_a_cancelled_call_counts_neither_as_failure_nor_as_success(breaker, mono):
    def cancelled():
        with pytest.raises(asyncio.CancelledError), breaker.calling():
            raise asyncio.CancelledError

    fail(breaker, 4)
    cancelled()
    assert (breaker.state, breaker.failure_count) == ("CLOSED", 4)
    fail(breaker, 1)
    mono.at += 61
    cancelled()
    assert (breaker.state, breaker.failure_count, breaker.wait) == ("OPEN", 5, 0)
    with breaker.calling():
        pass
    assert breaker.state == "CLOSED"


def test_reset_closes_it(breaker):
    fail(breaker, 5)
    breaker.reset()
    assert (breaker.state, breaker.failure_count, breaker.wait) == ("CLOSED", 0, 0)
