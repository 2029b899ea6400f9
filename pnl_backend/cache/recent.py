"""The newest snapshot, the minutes by the hour and the hours by the day in the cache, in front of the ledger.

    current:all              the newest snapshot's JSON                    30 s
    minutes:2026-02-25T22    the rows of a closed hour, a minute each       5 min
    hours:2026-02-25         the rows of a closed day (UTC), an hour each  24 h

What is still open is read from the ledger, so nothing has to be invalidated as it grows. A closed block changes only
when a snapshot is written into the past: by a clock that was set back, or by a ledger that catches up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

import orjson
from loguru import logger

from pnl_backend.cache.tiered import TieredCache
from pnl_backend.domain.record import Record
from pnl_backend.errors import StoreError

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
CURRENT, CURRENT_TTL = "current:all", 30.0
MOST_BLOCKS = 62
"""A range over more blocks than this is one read of the ledger: it would only push everything else out."""

Resolution = Literal["raw", "1m", "5m", "1h", "1d"]
Row = Mapping[str, int | float]
Fact = Literal["fill", "cost", "deal"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one resolution is cut into blocks; `step` and `span` in ms, `ttl` in s."""

    family: str
    step: int
    span: int
    ttl: float
    name: str

    def key(self, start: int) -> str:
        return f"{self.family}:{datetime.fromtimestamp(start / 1000, UTC).strftime(self.name)}"


_KINDS: dict[str, _Kind] = {
    "1m": _Kind("minutes", MINUTE_MS, HOUR_MS, 300.0, "%Y-%m-%dT%H"),
    "1h": _Kind("hours", HOUR_MS, DAY_MS, 86_400.0, "%Y-%m-%d"),
}


class History(Protocol):
    """The ledger's ranges: rows of start <= timestamp <= end (ms), oldest first."""

    async def newest(self, limit: int, /) -> Sequence[Record]: ...

    async def history(
        self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None
    ) -> Sequence[Row]: ...

    def export(self, start: int, end: int, resolution: Resolution, /) -> AsyncIterator[Sequence[Row]]: ...


class Publication(Protocol):
    """What was published, as the hub hands it on."""

    @property
    def record(self) -> Record: ...


class Recent:
    """Answers as the ledger would, from the cache where it can; a sink of the hub, to learn what is closed."""

    def __init__(self, cache: TieredCache, ledger: History) -> None:
        self._cache = cache
        self._ledger = ledger
        self._newest_at = -1
        self._loading: dict[str, asyncio.Task[bytes]] = {}
        self._pending: bytes | None = None
        self._writing: asyncio.Task[None] | None = None
        self._behind = False
        self._distrusted = False

    async def warm(self, now: int) -> None:
        """Forget the blocks of an earlier run, whose ledger may have been another, and read the last hour."""
        await self._forget_blocks()
        try:
            newest = await self._ledger.newest(1)
            if not newest:
                return
            self._newest_at = newest[-1].at
            rows = await self.history(now - HOUR_MS, now, "1m")
        except StoreError as error:
            logger.warning("cache: the last hour stays cold, the ledger cannot be read: {}", error)
            return
        await self._cache.set(CURRENT, newest[-1].data, CURRENT_TTL)
        logger.info("cache: the last hour is warm, {} minutes", len(rows))

    async def publish(self, publication: Publication) -> None:
        """Note a snapshot; one that lies in a closed block takes that block with it."""
        record = publication.record
        if self._distrusted and not self._behind:
            await self._forget_blocks()
            self._distrusted = False
        if record.at < self._newest_at:
            for kind in _KINDS.values():
                start = record.at - record.at % kind.span
                if self._is_closed(kind, start):
                    await self._forget(kind.key(start))
        self._newest_at = max(self._newest_at, record.at)
        self._pending = record.data
        if self._writing is None or self._writing.done():
            # Not awaited: a slow tier must not hold up the sinks that serve clients.
            self._writing = asyncio.create_task(self._write_current())

    async def close(self) -> None:
        """Finish what is being written or read."""
        under_way = [*self._loading.values(), *([self._writing] if self._writing else [])]
        await asyncio.gather(*under_way, return_exceptions=True)

    async def stream_error(self) -> None:
        """Nothing: what was cached is as good as it was."""

    def unstored(self, waiting: int) -> None:
        """While snapshots wait for the ledger no block can be trusted; once they are in, all are read anew."""
        self._behind = waiting > 0
        self._distrusted = True

    async def observed(self, fact: Fact, name: str) -> None:
        """A fact that nobody knew: the figures of now are no longer fresh.

        The reading that showed it and the past stay: the one is newer than the fact, the other is what was published.
        """
        await self._cache.delete(CURRENT)
        logger.info("cache: {} {} outdates {}", fact, name, CURRENT)

    async def newest(self, limit: int, /) -> Sequence[Record]:
        return await self._ledger.newest(limit)

    def export(self, start: int, end: int, resolution: Resolution, /) -> AsyncIterator[Sequence[Row]]:
        return self._ledger.export(start, end, resolution)

    async def history(
        self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None
    ) -> Sequence[Row]:
        kind = _KINDS.get(resolution)
        if kind is None or self._distrusted or not 0 <= start <= end:
            return await self._ledger.history(start, end, resolution, limit=limit)
        first = start - start % kind.step
        block = start - start % kind.span
        if (end - block) // kind.span >= MOST_BLOCKS:
            return await self._ledger.history(start, end, resolution, limit=limit)
        rows: list[Row] = []
        while block <= end and self._is_closed(kind, block):
            rows += [row for row in await self._block(kind, block, resolution) if first <= row["timestamp"] <= end]
            block += kind.span
        if block <= end:
            rows += await self._ledger.history(max(first, block), end, resolution, limit=limit)
        return rows if limit is None else rows[-limit:]

    def _is_closed(self, kind: _Kind, start: int) -> bool:
        """Whether a snapshot of a later block has been published. The clock says nothing: ticks may have stopped."""
        return start + kind.span <= self._newest_at

    async def _block(self, kind: _Kind, start: int, resolution: Resolution) -> list[Row]:
        key = kind.key(start)
        hit = await self._cache.get(key, stale=False)
        if hit is not None:
            held: list[Row] = orjson.loads(hit.value)
            return held
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._load(kind, key, start, resolution))
            loading.add_done_callback(lambda done: self._loaded(key, done))
        # One who gives up must not take the rows away from the others.
        rows: list[Row] = orjson.loads(await asyncio.shield(loading))
        return rows

    async def _load(self, kind: _Kind, key: str, start: int, resolution: Resolution) -> bytes:
        own = asyncio.current_task()
        rows = orjson.dumps(list(await self._ledger.history(start, start + kind.span - 1, resolution)))
        # Forgotten since we began: what we read may lack what was written meanwhile.
        if self._loading.get(key) is own:
            await self._cache.set(key, rows, kind.ttl)
        return rows

    def _loaded(self, key: str, done: asyncio.Task[bytes]) -> None:
        if self._loading.get(key) is done:
            del self._loading[key]
        if not done.cancelled():
            done.exception()  # everybody who waited has been told; nobody may have waited to the end

    async def _write_current(self) -> None:
        """Write the newest snapshot, and then the one that came meanwhile, if any."""
        while self._pending is not None:
            data, self._pending = self._pending, None
            await self._cache.set(CURRENT, data, CURRENT_TTL)

    async def _forget(self, key: str) -> None:
        self._loading.pop(key, None)
        await self._cache.delete(key)

    async def _forget_blocks(self) -> None:
        self._loading.clear()
        for kind in _KINDS.values():
            await self._cache.delete_prefix(f"{kind.family}:")
