"""The newest snapshot and its breakdown in the cache, from where REST and other programs take them.

    current      the newest snapshot as it was published    30 s
    breakdown    its components, costs and agents           30 s

Memory is written in the step in which a snapshot is published; the slower tiers follow in the background, the newest
value last, so that a slow Redis delays no client.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from loguru import logger

from pnl_backend.cache.tiered import TieredCache

TTL = 30.0
"""Seconds. Ticks come every few; where they have stopped, a second process must not take the old figure for the new."""

KEYS = {"snapshot": "current", "breakdown": "breakdown"}
"""The key of each view."""


class Latest(Protocol):
    """Where the newest views come from when the cache does not hold them."""

    def json(self, view: str, /) -> bytes | None: ...

    def aged(self, view: str, /) -> bytes | None:
        """The view where it differs by now from what was published; else None."""


class Current:
    """The newest views, from memory where it holds them; a sink of the hub."""

    def __init__(self, cache: TieredCache, latest: Latest) -> None:
        self._cache = cache
        self._latest = latest
        self._pending: dict[str, bytes] = {}
        self._writing: asyncio.Task[None] | None = None

    def json(self, view: str, /) -> bytes | None:
        """A view of the newest snapshot as JSON; None before anything was published.

        Views without a key of their own go with one that has: they are not counted a second time.
        """
        if view not in KEYS:
            return self._latest.json(view)
        held = self._cache.peek(KEYS[view])
        if held is None:
            self._cache.missed(KEYS[view])
            held = self._latest.json(view)
            if held is None:
                return None
            self._hold(view, held)
        # The cache holds it as it was published; what is answered says how old its sources are by now.
        return self._latest.aged(view) or held

    async def publish(self, publication: object) -> None:  # noqa: ARG002 - a sink's signature; `latest` has it already
        self.warm()

    def warm(self) -> None:
        """Hold the newest views."""
        for view in KEYS:
            newest = self._latest.json(view)
            if newest is not None:
                self._hold(view, newest)

    async def stream_error(self) -> None:
        """Nothing: the time to live ends what is no longer renewed."""

    async def invalidate(self, why: str) -> None:
        """Forget the newest views everywhere; `why` is for the log."""
        self._pending.clear()
        for key in KEYS.values():
            await self._cache.delete(key)
        logger.info("cache: {} outdates {}", why, ", ".join(KEYS.values()))

    async def close(self) -> None:
        """Finish what is being written."""
        if self._writing is not None:
            await self._writing

    def _hold(self, view: str, value: bytes) -> None:
        self._cache.put(KEYS[view], value, TTL)
        self._pending[view] = value
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="cache-current")

    async def _write(self) -> None:
        """Write what is pending to every tier, and then what came meanwhile."""
        while self._pending:
            view, value = self._pending.popitem()
            await self._cache.set(KEYS[view], value, TTL)
