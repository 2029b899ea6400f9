"""The last tier: the last known good value of each key, kept however old, for when nothing else can answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from pnl_backend.cache.base import Entry, family
from pnl_backend.domain.readings import Tier
from pnl_backend.wire.operations import TierStatus


class FallbackTier:
    """In memory, without expiry; what it answers always has a `ttl` of 0.

    Bounded for each key family apart, so that a busy family cannot push out the only good value of a quiet one.
    """

    name: Tier = "fallback"
    status: TierStatus = "connected"

    def __init__(self, *, max_per_family: int = 256) -> None:
        self._max_per_family = max_per_family
        self._families: dict[str, OrderedDict[str, bytes]] = {}

    def seed(self, values: Iterable[tuple[str, bytes]]) -> None:
        """Take over what an earlier process left, oldest first."""
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

    async def set(self, key: str, value: bytes, ttl: float) -> None:  # noqa: ARG002 - the protocol's; kept for ever
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
