"""The last tier: the last known good value of each key, of any age, for when no other tier has one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from pnl_backend.cache.base import MAX_PER_FAMILY, Entry, family
from pnl_backend.domain.readings import Tier
from pnl_backend.wire.operations import TierStatus


class FallbackTier:
    """In memory, without expiry; its entries always have a `ttl` of 0.

    The bound applies to each key family, so that a family with many keys cannot evict the values of another.
    """

    name: Tier = "fallback"
    status: TierStatus = "connected"

    def __init__(self, *, max_per_family: int = MAX_PER_FAMILY) -> None:
        self._max_per_family = max_per_family
        self._families: dict[str, OrderedDict[str, bytes]] = {}

    def seed(self, values: Iterable[tuple[str, bytes]]) -> None:
        """Take the values of an earlier process, oldest first."""
        for key, value in values:
            self._keep(key, value)

    def _keep(self, key: str, value: bytes) -> None:
        held = self._families.setdefault(family(key), OrderedDict())
        held[key] = value
        held.move_to_end(key)
        while len(held) > self._max_per_family:
            held.popitem(last=False)

    async def get(self, key: str) -> Entry | None:
        held = self._families.get(family(key))
        value = None if held is None else held.get(key)
        return None if value is None else Entry(value, 0.0)

    async def set(self, key: str, value: bytes, ttl: float) -> None:  # noqa: ARG002 - of the protocol; kept without expiry
        self._keep(key, value)

    async def delete(self, key: str) -> None:
        held = self._families.get(family(key))
        if held is not None:
            held.pop(key, None)

    async def delete_prefix(self, prefix: str) -> None:
        for held in self._families.values():
            for key in [key for key in held if key.startswith(prefix)]:
                del held[key]

    async def clear(self) -> None:
        self._families.clear()

    async def close(self) -> None:
        self._families.clear()

    def size(self) -> int:
        return sum(len(held) for held in self._families.values())
