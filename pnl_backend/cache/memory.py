"""The first tier: a dictionary in this process, bounded by least recent use and by each entry's own time to live."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from pnl_backend.cache.base import Entry, TierStatus
from pnl_backend.domain.readings import Tier


class MemoryTier:
    """Holds `max_entries` values; `clock` is monotonic, so a jump of the wall clock expires nothing."""

    name: Tier = "memory"
    status: TierStatus = "connected"

    def __init__(self, *, max_entries: int = 4096, clock: Callable[[], float] = time.monotonic) -> None:
        if max_entries < 1:
            raise ValueError("a memory tier must hold at least one entry")
        self._clock = clock
        self._max_entries = max_entries
        # Value and end of life by key, the one used longest ago first.
        self._held: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def peek(self, key: str) -> bytes | None:
        """The value, at once."""
        held = self._held.get(key)
        if held is None:
            return None
        if held[1] <= self._clock():
            del self._held[key]
            return None
        self._held.move_to_end(key)
        return held[0]

    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Hold a value, at once."""
        self._held[key] = (value, self._clock() + ttl)
        self._held.move_to_end(key)
        if len(self._held) > self._max_entries:
            self._held.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget a value, at once."""
        self._held.pop(key, None)

    async def get(self, key: str) -> Entry | None:
        held = self._held.get(key)
        if held is None or self.peek(key) is None:
            return None
        remaining = held[1] - self._clock()
        return Entry(held[0], remaining) if remaining > 0 else None

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        self.put(key, value, ttl)

    async def delete(self, key: str) -> None:
        self.drop(key)

    async def delete_prefix(self, prefix: str) -> None:
        for key in [key for key in self._held if key.startswith(prefix)]:
            del self._held[key]

    async def clear(self) -> None:
        self._held.clear()

    async def close(self) -> None:
        self._held.clear()

    def size(self) -> int:
        now = self._clock()
        for key in [key for key, (_, end) in self._held.items() if end <= now]:
            del self._held[key]
        return len(self._held)
