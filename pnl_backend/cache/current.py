"""The newest snapshot and its breakdown in the cache, where REST and other programs read them.

    current      the newest snapshot as it was published    30 s
    breakdown    its components, costs and agents           30 s

The memory tier is written while a snapshot is published; the slower tiers are written in the background, so that a
slow Redis delays no client, and once a second at most, however often snapshots are published.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Protocol

from loguru import logger

from pnl_backend.cache.tiered import TieredCache

TTL = 30.0
"""Seconds. When ticks have stopped, other processes must not read an old figure as the newest."""

WRITE_EVERY = 1.0
"""Seconds between two writes to the slower tiers, which cost more than computing a snapshot."""

KEYS = {"snapshot": "current", "breakdown": "breakdown"}
"""The key of each view."""


class Latest(Protocol):
    """The source of the newest views when the cache does not hold them."""

    def json(self, view: str, /) -> bytes | None: ...

    def aged(self, view: str, /) -> bytes | None:
        """The view, if it differs by now from what was published; else None."""


class Current:
    """The newest views, from memory where it holds them; a sink of the hub."""

    def __init__(self, cache: TieredCache, latest: Latest) -> None:
        self._cache = cache
        self._latest = latest
        self._pending: dict[str, bytes] = {}
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def json(self, view: str, /) -> bytes | None:
        """A view of the newest snapshot as JSON; None before anything was published.

        Views without a key of their own are not counted.
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
        # The cache holds the view as it was published; the answer has the present age of its sources.
        return self._latest.aged(view) or held

    async def publish(self, publication: object) -> None:  # noqa: ARG002 - a sink's signature; `latest` has it already
        self.warm()

    def warm(self) -> None:
        """Write the newest views."""
        for view in KEYS:
            newest = self._latest.json(view)
            if newest is not None:
                self._hold(view, newest)

    async def stream_error(self) -> None:
        """Nothing to do: the views expire when they are no longer renewed."""

    async def invalidate(self, why: str) -> None:
        """Delete the newest views from every tier; `why` is for the log."""
        self._pending.clear()
        for key in KEYS.values():
            await self._cache.delete(key)
        logger.info("cache: {} invalidates {}", why, ", ".join(KEYS.values()))

    async def close(self) -> None:
        """Write what is pending, and wait for it."""
        self._closing.set()
        if self._writing is not None:
            await self._writing

    def _hold(self, view: str, value: bytes) -> None:
        self._cache.put(KEYS[view], value, TTL)
        self._pending[view] = value
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="cache-current")

    async def _write(self) -> None:
        """Write the pending views to every tier, those that are added meanwhile in the next round."""
        while self._pending:
            for view in list(self._pending):
                value = self._pending.pop(view, None)
                if value is not None:  # else it was invalidated meanwhile
                    await self._cache.set(KEYS[view], value, TTL)
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITE_EVERY):
                    await self._closing.wait()
