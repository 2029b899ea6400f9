"""What clients may send: checked payloads, and a budget of messages for each socket."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pnl_backend.errors import BadRequest

BURST = 50.0
PER_SECOND = 10.0
STRIKES = 50
LONGEST_EPOCH = 64
LARGEST_SEQ = 2**53


@dataclass(frozen=True, slots=True)
class Since:
    """The last update that a subscriber saw."""

    epoch: str
    seq: int


def parse_since(payload: object) -> Since | None:
    """The `since` of a subscription's payload; raises BadRequest that names the field.

    None where there is none: a payload that is no object means nothing, as does an object without it.
    """
    if not isinstance(payload, dict):
        return None
    since = payload.get("since")
    if since is None:
        return None
    if not isinstance(since, dict):
        raise BadRequest("since must be an object with epoch and seq")
    epoch, seq = since.get("epoch"), since.get("seq")
    if not isinstance(epoch, str) or not 0 < len(epoch) <= LONGEST_EPOCH:
        raise BadRequest("since.epoch must be a short text")
    if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq < LARGEST_SEQ:
        raise BadRequest("since.seq must be a whole number, 0 or more")
    return Since(epoch, seq)


class Budget:
    """A token bucket for one socket: a burst, then a steady rate; beyond it strikes count towards a close."""

    __slots__ = ("_at", "_clock", "_strikes", "_tokens")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._tokens = BURST
        self._strikes = 0

    def spend(self) -> bool:
        """Take one message's token; False when there is none left."""
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._at) * PER_SECOND)
        self._at = now
        if self._tokens < 1:
            self._strikes += 1
            return False
        self._tokens -= 1
        if self._tokens > BURST / 2:
            self._strikes = 0
        return True

    @property
    def exhausted(self) -> bool:
        """True when the client went on long after it was told."""
        return self._strikes >= STRIKES
