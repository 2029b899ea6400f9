"""The last good reading of one source in the cache; a failure of the cache counts as a miss."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol

from pnl_backend.domain.readings import Fetched, SourceName, Tier, Value
from pnl_backend.ingest.outage_log import OutageLog
from pnl_backend.sources.codec import Codec

_PATIENCE = 1.0


class CacheHit(Protocol):
    """A cached value and the tier that held it."""

    @property
    def value(self) -> bytes: ...

    @property
    def tier(self) -> Tier: ...


class ReadingCache(Protocol):
    """Where a guard keeps the last good reading beyond its own memory."""

    async def get(self, key: str) -> CacheHit | None: ...

    async def set(self, key: str, value: bytes) -> None: ...


class LastGood(Generic[Value]):
    """Loads and saves under `reading:<source>`; a reading of another account, by `is_ours`, counts as a miss."""

    def __init__(
        self,
        cache: ReadingCache,
        source: SourceName,
        codec: Codec[Value],
        log: OutageLog,
        *,
        is_ours: Callable[[Fetched[Value]], Awaitable[bool]] | None = None,
    ) -> None:
        self._is_ours = is_ours
        self._cache = cache
        self._codec = codec
        self._key = f"reading:{source}"
        self._log = log
        self._decoded: tuple[bytes, Fetched[Value]] | None = None

    async def load(self) -> tuple[Fetched[Value], Tier] | None:
        """The reading and the tier that had it; bytes that are not a reading of this source count as a miss."""
        try:
            async with asyncio.timeout(_PATIENCE):
                hit = await self._cache.get(self._key)
        except Exception as error:
            self._log.cache_failed("read", error)
            return None
        self._log.cache_worked("read")
        if hit is None:
            return None
        fetched = self._decode(hit.value)
        if fetched is None or (self._is_ours is not None and not await self._is_ours(fetched)):
            return None
        return fetched, hit.tier

    async def save(self, fetched: Fetched[Value], *, after: asyncio.Task[None] | None) -> None:
        """Save it when the earlier save `after` is done."""
        if after is not None:
            await asyncio.wait({after})
        data = self._codec.encode(fetched)
        self._decoded = (data, fetched)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._cache.set(self._key, data)
        except Exception as error:
            self._log.cache_failed("written", error)
        else:
            self._log.cache_worked("written")

    def _decode(self, data: bytes) -> Fetched[Value] | None:
        if self._decoded is not None and self._decoded[0] == data:
            return self._decoded[1]
        try:
            fetched = self._codec.decode(data)
        except ValueError as error:
            self._log.cache_failed("decoded", error)
            return None
        self._log.cache_worked("decoded")
        self._decoded = (data, fetched)
        return fetched
