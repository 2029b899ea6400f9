"""A tiered cache on a clock that the test sets, over tiers that can be delayed and made to fail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from pnl_backend.cache.base import Entry, TierError, TierStatus
from pnl_backend.cache.fallback import FallbackTier
from pnl_backend.cache.memory import MemoryTier
from pnl_backend.cache.tiered import TieredCache
from pnl_backend.domain.readings import Tier


class Clock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Held:
    """A tier on a given clock whose calls can be held up, made to fail and looked into."""

    name: Tier
    clock: Clock
    status: TierStatus = "connected"
    values: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    calls: int = 0
    failing: bool = False
    gate: asyncio.Event | None = None

    async def _enter(self) -> None:
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failing:
            raise TierError("told to fail")

    async def get(self, key: str) -> Entry | None:
        found = self.values.get(key)
        await self._enter()
        if found is None or found[1] <= self.clock():
            return None
        return Entry(found[0], found[1] - self.clock())

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        await self._enter()
        self.values[key] = (value, self.clock() + ttl)

    async def delete(self, key: str) -> None:
        await self._enter()
        self.values.pop(key, None)

    async def delete_prefix(self, prefix: str) -> None:
        await self._enter()
        self.values = {key: held for key, held in self.values.items() if not key.startswith(prefix)}

    async def clear(self) -> None:
        await self._enter()
        self.values.clear()

    async def close(self) -> None:
        pass

    def size(self) -> int:
        return len(self.values)


class House:
    """Memory and fallback as they are, the two between them on command."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.memory = MemoryTier(clock=self.clock)
        self.redis = Held("redis", self.clock)
        self.sqlite = Held("sqlite", self.clock)
        self.fallback = FallbackTier()
        self.calls: list[tuple[str, str]] = []
        self.cache = TieredCache(
            (self.memory, self.redis, self.sqlite, self.fallback),
            default_ttl=300,
            on_call=lambda tier, operation, seconds: self.calls.append((tier, operation)),
        )


@pytest.fixture
def house() -> House:
    return House()
