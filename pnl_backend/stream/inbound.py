"""What clients may send: checked payloads, and a budget of messages for each socket."""

from __future__ import annotations

import time
from collections.abc import Callable

from pnl_backend.stream.limits import BURST, MAX_VIOLATIONS, PER_SECOND
from pnl_backend.wire.message import converted
from pnl_backend.wire.socket_messages import Since, Subscribe


def parse_since(payload: object) -> Since | None:
    """The `since` of a subscription's payload; raises BadRequest that names the field.

    None where there is none: a payload that is no object means nothing, as does an object without it.
    """
    return converted(payload, Subscribe).since if isinstance(payload, dict) else None


class Budget:
    """A token bucket for one socket: a burst, then a steady rate; beyond it violations count towards a close."""

    __slots__ = ("_at", "_clock", "_tokens", "_violations")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._tokens = BURST
        self._violations = 0

    def spend(self) -> bool:
        """Take one message's token; False when there is none left."""
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._at) * PER_SECOND)
        self._at = now
        if self._tokens < 1:
            self._violations += 1
            return False
        self._tokens -= 1
        if self._tokens > BURST / 2:
            self._violations = 0
        return True

    @property
    def exhausted(self) -> bool:
        """True when the client went on long after the first error."""
        return self._violations >= MAX_VIOLATIONS
