"""The ledger's minutes by the hour and hours by the day (UTC), in the cache in front of it, as plain JSON.

    1m:2026-02-25T22     the rows of an hour, a minute each    5 min
    hourly:2026-02-25    the rows of a day, an hour each       24 h

The open block is the one that the newest snapshot lies in; it grows with every snapshot. Each snapshot invalidates it,
and while it is requested it is read again at once, so that a request finds it in memory. A closed block changes only
when a snapshot is written with an earlier time: after a clock was set back, or from the ledger's backlog.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from loguru import logger

from pnl_backend.cache.tiered import TieredCache
from pnl_backend.domain.record import Record, Restatement
from pnl_backend.domain.times import DAY_MS, HOUR_MS, MINUTE_MS
from pnl_backend.errors import StoreError
from pnl_backend.wire.history import History, HistoryRow, Resolution, Rows, decoded_rows
from pnl_backend.wire.message import encode

MOST_BLOCKS = 62
"""A range over more blocks than this is read from the ledger in one query: it would evict all other blocks."""
DEMAND = 300.0
"""Seconds after its last request for which the open block is read again at each snapshot."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one resolution is cut into blocks; `step` and `span` in ms, `ttl` in s."""

    resolution: Resolution
    family: str
    step: int
    span: int
    ttl: float
    name: str

    def key(self, start: int) -> str:
        return f"{self.family}:{datetime.fromtimestamp(start / 1000, UTC).strftime(self.name)}"


_KINDS: dict[str, _Kind] = {
    "1m": _Kind("1m", "1m", MINUTE_MS, HOUR_MS, 300.0, "%Y-%m-%dT%H"),
    "1h": _Kind("1h", "hourly", HOUR_MS, DAY_MS, 86_400.0, "%Y-%m-%d"),
}


class Publication(Protocol):
    """What was published, as the hub passes it on."""

    @property
    def record(self) -> Record: ...


class Recent:
    """Ranges from the cache, else from the ledger; a sink of the hub, to invalidate the open block."""

    def __init__(self, cache: TieredCache, ledger: History, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._ledger = ledger
        self._monotonic = monotonic
        self._newest_at = -1
        self._loading: dict[str, asyncio.Task[bytes]] = {}
        self._asked: dict[str, float] = {}
        """When the open block of each family was last requested, in seconds of the monotonic clock."""
        self._grown: set[str] = set()
        """Blocks that were cached while they were open, so that they must be invalidated when they grow."""
        self._outdated: set[str] = set()
        """Blocks of which a slower tier may still hold a former state: they are read from the ledger."""
        self._deleting: set[asyncio.Task[None]] = set()
        self._behind = False
        self._incomplete = False
        self._restated = tuple(ledger.restatements)

    @property
    def restatements(self) -> Sequence[Restatement]:
        return self._ledger.restatements

    async def warm(self, now: int) -> None:
        """Delete the blocks of an earlier run, maybe of another ledger, and read the last hour before `now` (ms)."""
        await self._drop_all()
        try:
            newest = await self._ledger.newest(1)
            if not newest:
                return
            self._newest_at = newest[-1].at
            rows = await self.history(now - HOUR_MS, now, "1m")
            self._asked.clear()  # nobody has requested it yet: it need not be read again at each snapshot
        except StoreError as error:
            logger.warning("cache: the last hour is not loaded, the ledger cannot be read: {}", error)
            return
        logger.info("cache: the last hour is loaded, {} minutes", len(rows))

    async def publish(self, publication: Publication) -> None:
        """Invalidate the blocks that a snapshot lies in, and read those that are requested again in the background."""
        at = publication.record.at
        restated = tuple(self._ledger.restatements)
        if (self._incomplete and not self._behind) or restated != self._restated:
            await self._drop_all()
            self._incomplete, self._restated = self._behind, restated
        self._newest_at = max(self._newest_at, at)
        for kind in _KINDS.values():
            self._drop(kind, at - at % kind.span)

    async def close(self) -> None:
        """Wait for the reads and deletions that are in progress."""
        await asyncio.gather(*self._loading.values(), *self._deleting, return_exceptions=True)

    async def stream_error(self) -> None:
        """Nothing to do: the cached blocks stay valid."""

    def unstored(self, waiting: int) -> None:
        """While snapshots wait for the ledger every block may be incomplete; after that all blocks are read again."""
        self._behind = waiting > 0
        self._incomplete = True

    def invalidate(self) -> None:
        """Invalidate the open blocks: a new fact was recorded, which the next snapshot will contain."""
        for kind in _KINDS.values():
            self._drop(kind, self._newest_at - self._newest_at % kind.span)

    async def newest(self, limit: int, /) -> Sequence[Record]:
        return await self._ledger.newest(limit)

    def export(self, start: int, end: int, resolution: Resolution, /) -> AsyncIterator[Rows]:
        return self._ledger.export(start, end, resolution)

    async def history(self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None) -> Rows:
        kind = _KINDS.get(resolution)
        if kind is None or self._incomplete or not 0 <= start <= end:
            return await self._ledger.history(start, end, resolution, limit=limit)
        first = start - start % kind.step
        block = start - start % kind.span
        if (end - block) // kind.span >= MOST_BLOCKS:
            return await self._ledger.history(start, end, resolution, limit=limit)
        last = min(end, self._newest_at)
        rows: list[HistoryRow] = []
        while block <= last:
            rows += [row for row in await self._block(kind, block) if first <= row.timestamp <= end]
            block += kind.span
        return rows if limit is None else rows[-limit:]

    def _is_open(self, kind: _Kind, start: int) -> bool:
        """Whether the newest snapshot lies in the block; the clock does not decide, because ticks may have stopped."""
        return start <= self._newest_at < start + kind.span

    async def _block(self, kind: _Kind, start: int) -> list[HistoryRow]:
        key = kind.key(start)
        if self._is_open(kind, start):
            self._asked[kind.family] = self._monotonic()
        held = self._cache.peek(key)
        if held is None and (key in self._outdated or key in self._loading):
            self._cache.missed(key)
        elif held is None:
            hit = await self._cache.further(key, valid=_are_rows)
            held = None if hit is None else hit.value
        if held is None:
            # The load is shared: a request that is cancelled must not cancel it for the others.
            held = await asyncio.shield(self._load(kind, start))
        return decoded_rows(held)

    def _load(self, kind: _Kind, start: int) -> asyncio.Task[bytes]:
        """Read a block from the ledger into the cache; concurrent requests share the read."""
        key = kind.key(start)
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._read(kind, start), name=f"cache-{key}")
            loading.add_done_callback(lambda done: self._loaded(key, done))
        return loading

    async def _read(self, kind: _Kind, start: int) -> bytes:
        own, key = asyncio.current_task(), kind.key(start)
        try:
            rows = encode(await self._ledger.history(start, start + kind.span - 1, kind.resolution))
        except StoreError:
            if key in self._outdated:
                self._delete(key)
            raise
        # Not stored if the block was invalidated since this began: the rows may lack what was written meanwhile.
        if self._loading.get(key) is own:
            if self._is_open(kind, start):
                self._grown.add(key)
            await self._cache.set(key, rows, kind.ttl)
            if self._loading.get(key) is own:
                self._outdated.discard(key)
        return rows

    def _loaded(self, key: str, done: asyncio.Task[bytes]) -> None:
        if self._loading.get(key) is done:
            del self._loading[key]
        if not done.cancelled():
            done.exception()  # retrieved for a load that every waiter has cancelled

    def _drop(self, kind: _Kind, start: int) -> None:
        """Invalidate a block in memory at once, and in the other tiers in the background, so that no tick waits.

        The open block is read again if it was requested within `DEMAND` seconds.
        """
        key = kind.key(start)
        self._loading.pop(key, None)
        self._cache.drop(key)
        is_open = self._is_open(kind, start)
        if is_open and key not in self._grown:
            return
        self._outdated.add(key)
        requested = self._monotonic() - self._asked.get(kind.family, float("-inf")) <= DEMAND
        if is_open and requested and not self._incomplete:
            self._load(kind, start)
        else:
            self._grown.discard(key)
            self._delete(key)

    def _delete(self, key: str) -> None:
        """Invalidate in every tier; the result of a load that began meanwhile stays."""

        async def delete() -> None:
            await self._cache.delete(key)
            if key not in self._loading:
                self._outdated.discard(key)

        task = asyncio.create_task(delete(), name=f"cache-delete-{key}")
        self._deleting.add(task)
        task.add_done_callback(self._deleting.discard)

    async def _drop_all(self) -> None:
        self._loading.clear()
        self._grown.clear()
        self._outdated.clear()
        for kind in _KINDS.values():
            await self._cache.delete_prefix(f"{kind.family}:")


def _are_rows(held: bytes) -> bool:
    """Whether a value is a block: other programs can write to Redis, too."""
    try:
        decoded_rows(held)
    except ValueError:
        return False
    return True
