"""A clock that the test sets, and a cache of one value that fails on command."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pnl_backend.domain.readings import Tier


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@dataclass
class Hit:
    value: bytes
    tier: Tier


class Cache:
    """One value, and errors on command."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.tier: Tier = "memory"
        self.error: Exception | None = None
        self.written = asyncio.Event()

    async def get(self, key: str) -> Hit | None:
        if self.error:
            raise self.error
        return Hit(self.held[key], self.tier) if key in self.held else None

    async def set(self, key: str, value: bytes) -> None:
        if self.error:
            raise self.error
        self.held[key] = value
        self.written.set()
