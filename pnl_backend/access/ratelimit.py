"""How many requests a client may make in any minute, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from pnl_backend.access.addresses import group

WINDOW = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
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
            "RateLimit-Policy": f"{self.limit};w={WINDOW:.0f}",
        }
        if self.retry_after:
            fields["Retry-After"] = str(self.retry_after)
        return fields


class RateLimiter:
    """Remembers when each client's admitted requests of the last minute were made: exact, whatever their rhythm.

    A refused request is not remembered. Clients beyond `clients` push out the one not seen for longest.
    """

    def __init__(self, limit: int, *, clients: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        if limit < 1:
            raise ValueError("a rate limit must allow at least one request")
        self.limit = limit
        self._clients = clients
        self._clock = clock
        self._admitted: OrderedDict[tuple[bytes, str], deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._admitted)

    def take(self, digest: bytes, address: str) -> Verdict:
        """Count one request of the client that a key's digest and an address make."""
        now = self._clock()
        times = self._of((digest, group(address)))
        while times and now - times[0] >= WINDOW:
            times.popleft()
        if len(times) >= self.limit:
            wait = max(1, math.ceil(WINDOW - (now - times[0])))
            return Verdict(self.limit, 0, wait, wait)
        times.append(now)
        return Verdict(self.limit, self.limit - len(times), math.ceil(WINDOW - (now - times[0])))

    def _of(self, client: tuple[bytes, str]) -> deque[float]:
        times = self._admitted.get(client)
        if times is not None:
            self._admitted.move_to_end(client)
            return times
        times = self._admitted[client] = deque()
        if len(self._admitted) > self._clients:
            self._admitted.popitem(last=False)
        return times
