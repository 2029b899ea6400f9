"""pybreaker on a monotonic clock.

pybreaker compares wall-clock times; `_Storage` keeps the time of opening on the monotonic clock and converts it to a
wall-clock time for pybreaker, so that a jump of the wall clock has no effect. pybreaker admits every caller while it is
half-open: the guard has at most one fetch in progress.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pybreaker

BreakerState = Literal["CLOSED", "OPEN", "HALF_OPEN"]

_STATES: dict[str, BreakerState] = {
    pybreaker.STATE_CLOSED: "CLOSED",
    pybreaker.STATE_OPEN: "OPEN",
    pybreaker.STATE_HALF_OPEN: "HALF_OPEN",
}


class Breaker:
    """Opens after `failure_threshold` failures in a row; after `reset_timeout` seconds one trial call is admitted."""

    def __init__(
        self, name: str, *, failure_threshold: int, reset_timeout: float, monotonic: Callable[[], float]
    ) -> None:
        self._storage = _Storage(monotonic)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=failure_threshold,
            reset_timeout=reset_timeout,
            state_storage=self._storage,
            name=name,
            throw_new_error_on_trip=False,
        )

    @property
    def state(self) -> BreakerState:
        return _STATES[self._breaker.current_state]

    @property
    def failure_count(self) -> int:
        """Failures in a row."""
        return self._breaker.fail_counter

    @property
    def reset_timeout(self) -> float:
        """Seconds that it stays open."""
        return self._breaker.reset_timeout

    @property
    def wait(self) -> float:
        """Seconds until the next call is admitted; 0 if one is admitted now."""
        if self.state != "OPEN":
            return 0.0
        return max(self.reset_timeout - self._storage.open_for, 0.0)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Run the block under the breaker: an exception counts as a failure, its end as a success.

        A cancelled block counts as neither. Raises
        pybreaker.CircuitBreakerError without running the block while `wait` is not over.
        """
        before = self._breaker.current_state, self._breaker.fail_counter, self._storage.opened
        try:
            with self._breaker.calling():
                yield
        except asyncio.CancelledError:
            self._restore(*before)
            raise

    def reset(self) -> None:
        """Close it and reset the count of failures."""
        self._breaker.close()

    def _restore(self, state: str, failures: int, opened: float) -> None:
        self._storage.state = state
        self._breaker.state = state  # entering a state resets the counter, so that comes after it
        self._storage.restore(failures, opened)


class _Storage(pybreaker.CircuitMemoryStorage):
    """State and counters in memory; `opened` is when the breaker opened, in seconds of the monotonic clock."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__(pybreaker.STATE_CLOSED)
        self._monotonic = monotonic
        self.opened = -math.inf
        self.failures = 0

    @property
    def open_for(self) -> float:
        """Seconds since it opened."""
        return self._monotonic() - self.opened

    @property
    def opened_at(self) -> datetime | None:
        """The time of opening as a wall-clock time; pybreaker compares it with the present time."""
        if self.opened == -math.inf:
            return None
        return datetime.now(UTC) - timedelta(microseconds=math.ceil(self.open_for * 1e6))

    @opened_at.setter
    def opened_at(self, _: datetime) -> None:
        self.opened = self._monotonic()

    @property
    def counter(self) -> int:
        return self.failures

    def increment_counter(self) -> None:
        self.failures += 1

    def reset_counter(self) -> None:
        self.failures = 0

    def restore(self, failures: int, opened: float) -> None:
        """Undo the changes of a cancelled call."""
        self.failures = failures
        self.opened = opened
