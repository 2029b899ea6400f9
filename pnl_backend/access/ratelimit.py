"""How many requests a client may make in any minute, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from pnl_backend.access.addresses import group

WINDOW = 60.0
CLIENTS = 10_000
_Times = deque[float]


class Decision(NamedTuple):
    """`remaining` requests now, one more in `reset` s at the latest; `retry_after` is 0 where one was admitted."""

    limit: int
    remaining: int
    reset: int
    retry_after: int = 0

    @property
    def admitted(self) -> bool:
        return self.retry_after == 0

    def headers(self) -> dict[str, str]:
        """The RateLimit header fields (IETF draft-ietf-httpapi-ratelimit-headers-06)."""
        fields = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
            "RateLimit-Policy": _policy(self.limit),
        }
        if self.retry_after:
            fields["Retry-After"] = str(self.retry_after)
        return fields


@lru_cache(maxsize=16)
def _policy(limit: int) -> str:
    return f"{limit};w={WINDOW:.0f}"


class RateLimiter:
    """Remembers when each client's admitted requests of the last `window` s were made: exact, whatever their rhythm.

    A refused request is not recorded. Clients with a key and clients without are recorded separately, `clients` of each
    at most, so that addresses without a key never displace a key. Beyond that number the client without a request for
    longest is forgotten, but none that is being refused; where every one is, newcomers share one budget.
    """

    def __init__(
        self,
        limit: int,
        *,
        clients: int = CLIENTS,
        window: float = WINDOW,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if limit < 1:
            raise ValueError("a rate limit must allow at least one request")
        self.limit = limit
        self._window = window
        self._clock = clock
        self._with_key = _Clients(limit, clients, window)
        self._without = _Clients(limit, clients, window)

    def __len__(self) -> int:
        return len(self._with_key) + len(self._without)

    def take(self, digest: bytes, address: str) -> Decision:
        """Count one request of the client that a key's digest (empty: no key) and an address make."""
        now = self._clock()
        clients = self._with_key if digest else self._without
        client = (digest, group(address))
        times = clients.times(client, now)
        if len(times) >= self.limit:
            wait = max(1, math.ceil(self._window - (now - times[0])))
            return Decision(self.limit, 0, wait, wait)
        clients.admit(client, times, now)
        return Decision(self.limit, self.limit - len(times), math.ceil(self._window - (now - times[0])))


class _Clients:
    """The times of admitted requests by client; those at their limit are kept apart, to outlive the others."""

    def __init__(self, limit: int, most: int, window: float) -> None:
        self._limit = limit
        self._most = most
        self._window = window
        # Both in the order of the last admission.
        self._below: OrderedDict[tuple[bytes, str], _Times] = OrderedDict()
        self._at_limit: OrderedDict[tuple[bytes, str], _Times] = OrderedDict()
        self._shared: _Times = deque()

    def __len__(self) -> int:
        return len(self._below) + len(self._at_limit)

    def times(self, client: tuple[bytes, str], now: float) -> _Times:
        """The client's admissions within the window; the shared ones where no more clients can be recorded."""
        times = self._below.get(client) or self._at_limit.get(client)
        if times is None:
            times = deque() if len(self) < self._most or self._forget_one(now) else self._shared
        while times and now - times[0] >= self._window:
            times.popleft()
        return times

    def admit(self, client: tuple[bytes, str], times: _Times, now: float) -> None:
        times.append(now)
        if times is self._shared:
            return
        known, other = self._below, self._at_limit
        if len(times) >= self._limit:
            known, other = other, known
        if client in known:
            known.move_to_end(client)
        else:
            other.pop(client, None)
            known[client] = times

    def _forget_one(self, now: float) -> bool:
        """Drop a client whose admissions are all past, else the oldest that is below its limit."""
        for clients in (self._at_limit, self._below):
            if clients and now - next(iter(clients.values()))[-1] >= self._window:
                clients.popitem(last=False)
                return True
        if self._below:
            self._below.popitem(last=False)
            return True
        return False
