"""The first tier: a dictionary in this process, bounded by least recent use and by each entry's own time to live."""

from __future__ import annotations

import time
from collections.abc import Callable

from cachetools import TLRUCache

from pnl_backend.cache.base import Entry
from pnl_backend.domain.readings import Tier
from pnl_backend.wire.operations import TierStatus

_Held = tuple[bytes, float]


def _expires_at(_key: str, held: _Held, _now: float) -> float:
    return held[1]


class MemoryTier:
    """Holds `max_entries` values; `clock` is monotonic, so a jump of the wall clock expires nothing."""

    name: Tier = "memory"
    status: TierStatus = "connected"

    def __init__(self, *, max_entries: int = 4096, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: TLRUCache[str, _Held] = TLRUCache(max_entries, _expires_at, timer=clock)

    def peek(self, key: str) -> bytes | None:
        """The value, without awaiting."""
        try:
            return self._held[key][0]  # half of what `get` costs, which looks the key up twice
        except KeyError:
            return None

    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Hold a value, without awaiting."""
        self._held[key] = (value, self._clock() + ttl)

    def drop(self, key: str) -> None:
        """Remove a value, without awaiting."""
        self._held.pop(key, None)

    async def get(self, key: str) -> Entry | None:
        held = self._held.get(key)
        if held is None:
            return None
        remaining = held[1] - self._clock()
        return Entry(held[0], remaining) if remaining > 0 else None

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        self.put(key, value, ttl)

    async def delete(self, key: str) -> None:
        self.drop(key)

    async def delete_prefix(self, prefix: str) -> None:
        for key in [key for key in self._held if key.startswith(prefix)]:
            self._held.pop(key, None)

    async def clear(self) -> None:
        self._held.clear()

    async def close(self) -> None:
        self._held.clear()

    def size(self) -> int:
        self._held.expire()
        return len(self._held)
