"""The cached past is the ledger's past: whatever is asked, published, set back or caught up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger

from pnl_backend.cache.fallback import FallbackTier
from pnl_backend.cache.memory import MemoryTier
from pnl_backend.cache.recent import DAY_MS, DEMAND, HOUR_MS, MINUTE_MS, Recent
from pnl_backend.cache.tiered import TieredCache
from pnl_backend.domain.record import Record, Restatement
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store
from pnl_backend.wire.history import Resolution
from pnl_backend.wire.refusals import BadRequest

Asked = tuple[int, int, Resolution]
EPOCH_HOUR = 1_772_058_240_000 // HOUR_MS * HOUR_MS


def record(store: Store, at: int, net: int = 100) -> Record:
    return Record(store.epoch, store.last_seq + 1, at, net, net, 0, 0, b'{"netPnL":%d}' % net, b"{}")


@dataclass
class Published:
    record: Record


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class House:
    """A real ledger, a memory cache before it, and a count of how often the ledger was asked."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.reads = 0
        self.clock = Clock()
        self.shared = MemoryTier()
        self.shared.name = "redis"
        self.cache = TieredCache((MemoryTier(), self.shared, FallbackTier()), default_ttl=60)
        self.recent = Recent(self.cache, self, monotonic=self.clock)

    async def publish(self, at: int, net: int = 100, *, stored: bool = True) -> Record:
        made = record(self.store, at, net)
        if stored:
            await self.store.append(made)
        await self.recent.publish(Published(made))
        return made

    @property
    def restatements(self) -> Sequence[Restatement]:
        return self.store.restatements

    async def newest(self, limit: int, /) -> Sequence[Record]:
        return await self.store.newest(limit)

    async def history(
        self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None
    ) -> Sequence[Any]:
        self.reads += 1
        return await self.store.history(start, end, resolution, limit=limit)

    def export(self, start: int, end: int, resolution: Resolution, /) -> AsyncIterator[Sequence[Any]]:
        return self.store.export(start, end, resolution)

    async def same(self, start: int, end: int, resolution: Resolution, limit: int | None = None) -> list[Any]:
        """What the cache answers, held against the ledger."""
        cached = await self.recent.history(start, end, resolution, limit=limit)
        assert list(cached) == list(await self.store.history(start, end, resolution, limit=limit))
        return list(cached)


async def opened(path: Path) -> Store:
    return await Store.open(path, origin="live", synchronous="NORMAL")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store = await opened(tmp_path / "pnl.db")
    built = House(store)
    yield built
    await built.recent.close()
    await store.close()


async def test_every_hour_is_read_once_and_the_open_one_is_always_fresh(house: House) -> None:
    for minute in range(0, 150, 7):
        await house.publish(EPOCH_HOUR + minute * MINUTE_MS, minute)
    asked: Asked = (EPOCH_HOUR, EPOCH_HOUR + 3 * HOUR_MS, "1m")
    first = await house.same(*asked)
    house.reads = 0
    assert await house.same(*asked) == first
    assert house.reads == 0
    await house.publish(EPOCH_HOUR + 149 * MINUTE_MS, 4711)
    assert (await house.same(*asked))[-1].netPnL == 47.11
    assert house.reads == 1, "read again because of the snapshot, and not for the request"
    counted = house.cache.stats().keys["1m"]
    assert (counted.hits, counted.misses) == (5, 4), "the request shared the read that the snapshot caused"


async def test_the_open_hour_is_read_again_only_while_it_is_requested(house: House) -> None:
    asked: Asked = (EPOCH_HOUR, EPOCH_HOUR + HOUR_MS - 1, "1m")
    await house.publish(EPOCH_HOUR, 1)
    assert house.reads == 0
    await house.same(*asked)
    house.clock.now += DEMAND
    await house.publish(EPOCH_HOUR + 1, 2)
    await house.recent.close()
    assert house.reads == 2
    house.clock.now += 0.1
    await house.publish(EPOCH_HOUR + 2, 3)
    await house.recent.close()
    assert house.reads == 2
    assert (await house.same(*asked))[-1].netPnL == 0.03


async def test_a_request_between_commit_and_publication_hides_nothing_from_the_next(house: House) -> None:
    asked: Asked = (EPOCH_HOUR, EPOCH_HOUR + HOUR_MS - 1, "1m")
    await house.publish(EPOCH_HOUR, 1)
    made = record(house.store, EPOCH_HOUR + 1, 2)
    await house.store.append(made)
    await house.same(*asked)
    await house.recent.publish(Published(made))
    assert [row.count for row in await house.same(*asked)] == [2]


@pytest.mark.parametrize("junk", [b"cos\nsystem\n", b"[1]", b"{}", b'[{"timestamp": "1"}]', b'[{"timestamp": true}]'])
async def test_what_another_program_wrote_to_a_slower_tier_is_never_shown(tmp_path: Path, junk: bytes) -> None:
    store = await opened(tmp_path / "pnl.db")
    house = House(store)
    shared = house.shared
    await house.publish(EPOCH_HOUR, 1)
    await house.publish(EPOCH_HOUR + HOUR_MS, 2)
    await shared.set("1m:2026-02-25T22", junk, 300)
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]))
    assert len(await house.same(EPOCH_HOUR, EPOCH_HOUR + HOUR_MS - 1, "1m")) == 1
    logger.remove(sink)
    assert lines == ["redis holds a value of another shape under 1m:2026-02-25T22"]
    await house.recent.close()
    await store.close()


@settings(max_examples=60)
@given(
    steps=st.lists(st.integers(0, 40 * 60_000), min_size=1, max_size=40),
    asked=st.lists(
        st.tuples(
            st.integers(-2 * HOUR_MS, 20 * HOUR_MS),
            st.integers(0, 30 * HOUR_MS),
            st.sampled_from(["raw", "1m", "5m", "1h", "1d"]),
            st.none() | st.integers(1, 100),
        ),
        min_size=1,
        max_size=6,
    ),
    setback=st.integers(0, 5 * HOUR_MS),
)
def test_it_answers_as_the_ledger_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], asked: list[Any], setback: int
) -> None:
    async def scenario() -> None:
        store = await opened(tmp_path_factory.mktemp("ledger") / "pnl.db")
        house = House(store)
        at = EPOCH_HOUR
        try:
            for number, step in enumerate(steps):
                at += step
                await house.publish(at, number)
            for start, length, resolution, limit in asked:
                await house.same(EPOCH_HOUR + start, EPOCH_HOUR + start + length, resolution, limit)
            # A clock that is set back writes into hours that are closed, and cached by now.
            await house.publish(at - setback, 999_999)
            for start, length, resolution, limit in asked:
                await house.same(EPOCH_HOUR + start, EPOCH_HOUR + start + length, resolution, limit)
        finally:
            await house.recent.close()
            await store.close()

    asyncio.run(scenario())


async def test_a_block_is_closed_by_the_first_instant_of_the_next_one_and_not_before(house: House) -> None:
    next_hour = EPOCH_HOUR + HOUR_MS
    asked: Asked = (EPOCH_HOUR, next_hour - 1, "1m")
    await house.publish(next_hour - 1, 1)
    await house.same(*asked)
    await house.publish(next_hour - 1, 2)  # the same instant once more: the hour was still open
    assert (await house.same(*asked))[-1].netPnL == 0.02
    await house.publish(next_hour, 3)
    await house.same(*asked)
    house.reads = 0
    assert len(await house.same(*asked)) == 1
    assert house.reads == 0


async def test_a_range_that_ends_at_the_first_instant_of_a_block_has_its_row(house: House) -> None:
    for hour in range(3):
        await house.publish(EPOCH_HOUR + hour * HOUR_MS, hour)
    for hours in (1, 2):  # ending in a closed block, and in the open one
        asked: Asked = (EPOCH_HOUR, EPOCH_HOUR + hours * HOUR_MS, "1m")
        await house.same(*asked)
        house.reads = 0
        assert len(await house.same(*asked)) == hours + 1
        assert house.reads == 0


async def test_days_are_cached_by_the_hour(house: House) -> None:
    day = EPOCH_HOUR // DAY_MS * DAY_MS
    for hour in range(0, 60, 3):
        await house.publish(day + hour * HOUR_MS, hour)
    asked: Asked = (day, day + 3 * DAY_MS, "1h")
    await house.same(*asked)
    house.reads = 0
    await house.same(*asked)
    assert house.reads == 0
    counted = house.cache.stats().keys["hourly"]
    assert (counted.hits, counted.misses) == (3, 3)


async def test_many_requests_at_once_read_once(house: House) -> None:
    for minute in range(0, 130, 10):
        await house.publish(EPOCH_HOUR + minute * MINUTE_MS)
    house.reads = 0
    answers = await asyncio.gather(
        *(house.recent.history(EPOCH_HOUR, EPOCH_HOUR + HOUR_MS - 1, "1m") for _ in range(200))
    )
    assert house.reads == 1
    assert all(answer == answers[0] for answer in answers)


async def test_what_the_ledger_lacks_is_not_cached_and_what_it_catches_up_on_is_seen(house: House) -> None:
    await house.publish(EPOCH_HOUR + MINUTE_MS)
    house.recent.unstored(1)
    waiting = await house.publish(EPOCH_HOUR + 2 * MINUTE_MS, stored=False)
    await house.recent.publish(Published(waiting))
    later = Record(waiting.epoch, waiting.seq + 1, EPOCH_HOUR + HOUR_MS, 1, 1, 0, 0, b"{}", b"{}")
    await house.recent.publish(Published(later))
    asked: Asked = (EPOCH_HOUR, EPOCH_HOUR + HOUR_MS - 1, "1m")
    assert len(await house.same(*asked)) == 1
    await house.store.append(waiting)
    house.recent.unstored(0)
    await house.store.append(later)
    await house.recent.publish(Published(later))
    assert len(await house.same(*asked)) == 2


async def test_a_restart_finds_the_last_hour_warm_and_nothing_of_another_ledger(house: House, tmp_path: Path) -> None:
    now = EPOCH_HOUR + 2 * HOUR_MS + 30 * MINUTE_MS
    for minute in range(0, 150, 5):
        await house.publish(EPOCH_HOUR + minute * MINUTE_MS, minute)
    await house.cache.set("1m:2026-02-25T23", b'[{"timestamp": 1, "netPnL": 666}]', 300)
    await house.cache.set("hourly:2026-02-25", b"[]", 300)
    again = Recent(house.cache, house)
    await again.warm(now)
    house.reads = 0
    rows = await again.history(now - HOUR_MS, now, "1m")
    assert rows == await house.store.history(now - HOUR_MS, now, "1m")
    assert house.reads == 0
    empty = await opened(tmp_path / "other.db")
    await Recent(house.cache, empty).warm(now)
    assert await house.cache.get("1m:2026-02-25T23", stale=False) is None
    await empty.close()


async def test_a_new_fact_invalidates_the_open_blocks_and_no_more(house: House) -> None:
    await house.publish(EPOCH_HOUR - HOUR_MS, 1)
    await house.publish(EPOCH_HOUR, 2)
    for resolution in ("1m", "1h"):
        await house.same(EPOCH_HOUR - HOUR_MS, EPOCH_HOUR, resolution)  # type: ignore[arg-type] # both are resolutions
    house.reads = 0
    house.recent.invalidate()
    for resolution in ("1m", "1h"):
        await house.same(EPOCH_HOUR - HOUR_MS, EPOCH_HOUR, resolution)  # type: ignore[arg-type] # both are resolutions
    assert house.reads == 2, "the open hour and the open day, and not the hour that is closed"


async def test_refusals_and_failures_are_the_ledgers(house: House) -> None:
    await house.publish(EPOCH_HOUR)
    await house.publish(EPOCH_HOUR + 3 * HOUR_MS)
    with pytest.raises(BadRequest):
        await house.recent.history(2, 1, "1m")
    with pytest.raises(BadRequest):
        await house.recent.history(0, EPOCH_HOUR, "2m")  # type: ignore[arg-type] # what no route lets through
    await house.store.close()
    await house.recent.warm(EPOCH_HOUR)
    for _ in range(2):
        with pytest.raises(StoreError):
            await house.recent.history(EPOCH_HOUR, EPOCH_HOUR + HOUR_MS - 1, "1m")
