"""pybreaker with a typed face and without its clock: when a trial may be made is the guard's decision.

pybreaker compares wall-clock times and lets everyone in while it is half-open. Neither happens here: outcomes are
only reported while it is closed or half-open, where it looks at no clock, and `begin_trial` half-opens it for the
one fetch that the guard has under way.
"""

from __future__ import annotations

import contextlib
from typing import Literal, NoReturn

import pybreaker

BreakerState = Literal["CLOSED", "OPEN", "HALF_OPEN"]

_STATES: dict[str, BreakerState] = {
    pybreaker.STATE_CLOSED: "CLOSED",
    pybreaker.STATE_OPEN: "OPEN",
    pybreaker.STATE_HALF_OPEN: "HALF_OPEN",
}


class Breaker:
    """Opens after `failure_threshold` failures in a row; then one trial at a time decides."""

    def __init__(self, name: str, *, failure_threshold: int) -> None:
        self._breaker = pybreaker.CircuitBreaker(fail_max=failure_threshold, name=name, throw_new_error_on_trip=False)

    @property
    def state(self) -> BreakerState:
        return _STATES[self._breaker.current_state]

    @property
    def failure_count(self) -> int:
        """Failures in a row."""
        return self._breaker.fail_counter

    def begin_trial(self) -> None:
        """An open breaker becomes half-open; a closed one stays closed."""
        if self.state == "OPEN":
            self._breaker.half_open()

    def succeed(self) -> None:
        """Report a success: closes the breaker."""
        self._breaker.call(_nothing)

    def fail(self, error: Exception) -> None:
        """Report a failure: the fifth in a row, or a trial's only one, opens the breaker."""
        with contextlib.suppress(type(error)):
            self._breaker.call(_raise, error)

    def abandon(self) -> None:
        """The fetch was cancelled, which says nothing about the upstream: an undecided trial is undone."""
        if self.state == "HALF_OPEN":
            self._breaker.open()

    def reset(self) -> None:
        """Close it and forget the failures."""
        self._breaker.close()


def _nothing() -> None:
    return None


def _raise(error: Exception) -> NoReturn:
    raise error
