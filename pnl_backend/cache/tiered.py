"""The cache as the server uses it: tiers are read in order and written together, and every call is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from loguru import logger

from pnl_backend.cache.base import CacheHit, CacheTier, Entry, TierDown, TierError
from pnl_backend.cache.counters import Counter, Counters, OnCall, Operation
from pnl_backend.cache.fallback import FallbackTier
from pnl_backend.cache.memory import MemoryTier
from pnl_backend.cache.redis import RedisTier
from pnl_backend.cache.sqlite import SQLiteTier
from pnl_backend.domain.readings import Tier
from pnl_backend.domain.times import iso
from pnl_backend.wire.operations import CacheServices, CacheStats, TiersStats, TierStats, TierStatus

_NO_TIER = TierStats(**Counter().counts(), size=0, status="disabled")

Valid = Callable[[bytes], bool]
"""Whether a value has the shape that its key requires; other programs can write to some tiers."""
Write = Callable[[CacheTier], Awaitable[None]]


class TieredCache:
    """`tiers` from the fastest to the slowest; times to live are in seconds.

    No call raises because a tier fails, and none takes longer than the slowest tier's own limit.
    """

    def __init__(self, tiers: Sequence[CacheTier], *, default_ttl: float, on_call: OnCall | None = None) -> None:
        self._tiers = tuple(tiers)
        self._memory = next((tier for tier in self._tiers if isinstance(tier, MemoryTier)), MemoryTier())
        self._default_ttl = default_ttl
        self._counters = Counters(on_call=on_call)
        self._lookups: dict[str, asyncio.Task[CacheHit | None]] = {}

    async def get(self, key: str, *, stale: bool = True) -> CacheHit | None:
        """The value and the tier that had it, the fastest first.

        `stale=False` leaves out the last known good value, which may be of any age.
        """
        started = time.perf_counter()
        first = self._tiers[0]
        entry = await self._read(first, key)
        hit = CacheHit(entry.value, first.name) if entry is not None and entry.ttl > 0 else None
        if hit is None:
            hit = await self._look_further(key)
        fresh = hit is not None and hit.tier != "fallback"
        self._counters.ask(key, "hit" if fresh else "miss", time.perf_counter() - started)
        return hit if fresh or stale else None

    def peek(self, key: str) -> bytes | None:
        """What the memory tier holds. If it is None, call `further` or `missed`: both count the request."""
        started = time.perf_counter()
        held = self._memory.peek(key)
        took = time.perf_counter() - started
        if held is None:
            self._counters.tier(self._memory.name, key, "miss")
        else:
            self._counters.hit_in(self._memory.name, key, took)
        return held

    def missed(self, key: str) -> None:
        """Count a request that found nothing in memory and read no other tier."""
        self._counters.ask(key, "miss")

    async def further(self, key: str, *, valid: Valid) -> CacheHit | None:
        """What the tiers behind the memory tier hold.

        A value that `valid` refuses, and the last known good value, are skipped. All callers for a key must give the
        same `valid`.
        """
        started = time.perf_counter()
        hit = await self._look_further(key, valid)
        fresh = hit is not None and hit.tier != "fallback"
        self._counters.ask(key, "hit" if fresh else "miss", time.perf_counter() - started)
        return hit if fresh else None

    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Write to the memory tier at once; `set` writes to all of them."""
        self._memory.put(key, value, ttl)

    def drop(self, key: str) -> None:
        """Remove from the memory tier at once; `delete` invalidates in all tiers."""
        self._lookups.pop(key, None)
        self._memory.drop(key)

    async def set(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Write to all tiers concurrently; a tier that fails or times out is counted, and the others go on."""
        life = self._default_ttl if ttl is None else ttl
        if life <= 0:
            raise ValueError(f"a time to live must be positive, not {life}")
        self._lookups.pop(key, None)
        self._counters.ask(key, "set")
        await self._each("set", key, lambda tier: tier.set(key, value, life))

    async def delete(self, key: str) -> None:
        """Invalidate in every tier; the last known good value stays."""
        self._lookups.pop(key, None)
        self._counters.ask(key, "delete")
        await self._each("delete", key, lambda tier: tier.delete(key), but="fallback")

    async def delete_prefix(self, prefix: str) -> None:
        """Invalidate every key that begins with `prefix`; the last known good values stay."""
        for key in [key for key in self._lookups if key.startswith(prefix)]:
            del self._lookups[key]
        self._counters.ask(prefix, "delete")
        await self._each("delete", prefix, lambda tier: tier.delete_prefix(prefix), but="fallback")

    async def clear(self) -> None:
        """Delete everything from every tier, the last known good values too."""
        self._lookups.clear()
        self._counters.ask("", "delete")
        await self._each("delete", "", lambda tier: tier.clear())

    async def close(self) -> None:
        await asyncio.gather(*self._lookups.values(), return_exceptions=True)
        for tier in self._tiers:
            await tier.close()

    def health(self) -> CacheServices:
        """Each tier's state as the health route shows it."""
        return CacheServices("healthy", self._status("redis"), self._status("sqlite"))

    def stats(self) -> CacheStats:
        """The counters since the start."""
        whole = self._counters.whole
        total = whole.hits + whole.misses
        rate = whole.hits / total * 100 if total else 0.0
        tiers: dict[str, TierStats] = {tier.name: self._tier_stats(tier) for tier in self._tiers}
        return CacheStats(
            hits=whole.hits,
            misses=whole.misses,
            sets=whole.sets,
            deletes=whole.deletes,
            errors=whole.errors,
            total=total,
            hitRate=f"{rate:.2f}%",
            processCacheSize=tiers["memory"].size or 0 if "memory" in tiers else 0,
            timestamp=iso(int(time.time() * 1000)),
            tiers=TiersStats(**{name: tiers.get(name, _NO_TIER) for name in TiersStats.__struct_fields__}),
            keys=self._counters.by_family(),
        )

    def _tier_stats(self, tier: CacheTier) -> TierStats:
        size = 0 if tier.status == "disabled" else tier.size()
        return TierStats(**self._counters.tiers.get(tier.name, Counter()).counts(), size=size, status=tier.status)

    def _status(self, name: Tier) -> TierStatus:
        return next((tier.status for tier in self._tiers if tier.name == name), "disabled")

    async def _look_further(self, key: str, valid: Valid | None = None) -> CacheHit | None:
        """Read the slower tiers; concurrent calls for the same key share the lookup."""
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = asyncio.create_task(self._lookup(key, valid))
            self._lookups[key] = lookup
            lookup.add_done_callback(lambda done: self._forget(key, done))
        # The lookup is shared: a caller that is cancelled must not cancel it for the others.
        return await asyncio.shield(lookup)

    def _forget(self, key: str, lookup: asyncio.Task[CacheHit | None]) -> None:
        if self._lookups.get(key) is lookup:
            del self._lookups[key]

    async def _lookup(self, key: str, valid: Valid | None) -> CacheHit | None:
        own = asyncio.current_task()
        for depth, tier in enumerate(self._tiers[1:], start=1):
            entry = await self._read(tier, key)
            if entry is None:
                continue
            if valid is not None and not valid(entry.value):
                logger.warning("{} holds a value of another shape under {}", tier.name, key)
                continue
            # A write since the lookup began has removed it from the table: the value is older and must not be stored.
            if entry.ttl > 0 and self._lookups.get(key) is own:
                await self._promote(key, entry, depth)
            return CacheHit(entry.value, tier.name)
        return None

    async def _promote(self, key: str, entry: Entry, depth: int) -> None:
        for tier in self._tiers[:depth]:
            if tier.status == "disabled":
                continue
            await self._write(tier, "set", key, lambda into: into.set(key, entry.value, entry.ttl))

    async def _read(self, tier: CacheTier, key: str) -> Entry | None:
        if tier.status == "disabled":
            return None
        started = time.perf_counter()
        try:
            entry = await tier.get(key)
        except TierError as error:
            self._failed(tier, key, error, time.perf_counter() - started)
            self._counters.tier(tier.name, key, "miss")
            return None
        self._counters.tier(tier.name, key, "miss" if entry is None else "hit", time.perf_counter() - started)
        return entry

    async def _each(
        self,
        operation: Operation,
        key: str,
        call: Write,
        *,
        but: Tier | None = None,
    ) -> None:
        await asyncio.gather(
            *(
                self._write(tier, operation, key, call)
                for tier in self._tiers
                if tier.status != "disabled" and tier.name != but
            )
        )

    async def _write(self, tier: CacheTier, operation: Operation, key: str, call: Write) -> None:
        started = time.perf_counter()
        try:
            await call(tier)
        except TierError as error:
            self._failed(tier, key, error, time.perf_counter() - started)
        else:
            self._counters.tier(tier.name, key, operation, time.perf_counter() - started)

    def _failed(self, tier: CacheTier, key: str, error: TierError, seconds: float) -> None:
        """Count a failed call, unless it was not made because the tier is known to be down."""
        if not isinstance(error, TierDown):
            self._counters.tier(tier.name, key, "error", seconds)
            logger.debug("{} failed for {}: {}", tier.name, key, error)


async def open_cache(
    *,
    redis_url: str | None,
    sqlite_path: str | Path,
    default_ttl: float,
    namespace: str = "live",
    memory_size: int = 4096,
    on_call: OnCall | None = None,
) -> TieredCache:
    """Build and open the four tiers; one that cannot be opened is down and does not prevent the start.

    `namespace` separates servers that share one Redis or one file, such as a demo and an account.
    """
    memory = MemoryTier(max_entries=memory_size)
    redis = RedisTier(url=redis_url, prefix="pnl:" if namespace == "live" else f"pnl-{namespace}:")
    sqlite = SQLiteTier(sqlite_path, namespace=namespace)
    fallback = FallbackTier()
    await asyncio.gather(redis.open(), sqlite.open())
    fallback.seed(await sqlite.last_known())
    return TieredCache((memory, redis, sqlite, fallback), default_ttl=default_ttl, on_call=on_call)
