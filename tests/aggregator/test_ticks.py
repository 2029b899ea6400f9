"""The loop: drift-free ticks, failures reported once, a ledger that fails and recovers."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import orjson

from pnl_backend.domain.readings import KalshiPortfolio, Reading
from tests.aggregator.conftest import House, position
from tests.waiting import PATIENCE


async def test_a_tick_reads_computes_commits_and_publishes(house, store):
    assert not await house.aggregator.restore()
    snapshot = await house.aggregator.tick()
    (published,) = house.sink.seen
    assert published.snapshot is snapshot
    assert (snapshot.epoch, snapshot.seq) == (store.epoch, 1)
    assert snapshot.net_pnl == 50
    assert (await store.latest()) == published.record
    assert house.kalshi.patience == 0.5


async def test_ticks_follow_the_grid_and_number_each_snapshot(house):
    await house.aggregator.restore()
    house.aggregator.start()
    await house.sink.until(lambda s: len(s.seen) >= 5)
    await house.aggregator.stop()
    assert [p.seq for p in house.sink.seen] == list(range(1, len(house.sink.seen) + 1))
    assert not house.aggregator.running


async def test_a_tick_that_fails_is_reported_once_and_the_next_one_succeeds(house):
    await house.aggregator.restore()
    house.kalshi.failure = RuntimeError("a bug")
    house.aggregator.start()
    for _ in range(3):
        house.kalshi.asked.clear()
        async with asyncio.timeout(PATIENCE):
            await house.kalshi.asked.wait()
    assert house.aggregator.failures >= 2
    assert house.sink.errors == 1
    house.kalshi.failure = None
    await house.sink.until(lambda s: s.seen)
    assert house.aggregator.failures == 0
    house.kalshi.failure = RuntimeError("again")
    await house.sink.until(lambda s: s.errors == 2)
    await house.aggregator.stop()


async def test_stopping_waits_until_the_running_tick_has_committed(house, store):
    await house.aggregator.restore()
    reading = asyncio.Event()
    go_on = asyncio.Event()

    async def slow(patience=None):
        reading.set()
        await go_on.wait()
        return Reading("johns", house.johns.value, 1, 1, "live")

    house.johns.read = slow
    house.aggregator.start()
    await reading.wait()
    stopping = asyncio.create_task(house.aggregator.stop())
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert (await store.latest()).seq == len(house.sink.seen) == 1


async def test_the_feed_goes_on_unstored_and_what_waited_is_written_first(house, store):
    await house.aggregator.restore()
    await house.aggregator.tick()
    house.store.broken = True
    for _ in range(3):
        snapshot = await house.aggregator.tick()
        assert snapshot.stored is False
    assert house.aggregator.unstored == 3
    assert store.last_seq == 1
    assert [orjson.loads(p.record.data)["stored"] for p in house.sink.seen] == [True, False, False, False]
    house.store.broken = False
    snapshot = await house.aggregator.tick()
    assert snapshot.stored is True
    assert house.aggregator.unstored == 0
    held = await store.newest(10)
    assert [record.seq for record in held] == [1, 2, 3, 4, 5]
    assert held == [p.record for p in house.sink.seen], "the ledger holds what was published, byte for byte"
    assert house.sink.errors == 0


async def test_a_restart_serves_the_last_snapshot_and_goes_on_counting(house, store):
    await house.aggregator.restore()
    await house.aggregator.tick()
    last = await house.aggregator.tick()
    again = House(store, house.wall)
    assert await again.aggregator.restore()
    assert again.hub.latest.record.data == house.hub.latest.record.data
    assert (await again.aggregator.tick()).seq == last.seq + 1


async def test_closed_markets_count_as_the_reading_has_them(house):
    await house.aggregator.restore()
    house.kalshi.value = KalshiPortfolio(Decimal(100), (position("A", "10", "1"), position("B", "5.25", "0.50")))
    before = await house.aggregator.tick()
    closed = house.store.markets.closed_except([("B", 0)])
    house.kalshi.value = KalshiPortfolio(Decimal(100), (position("B", "6.25", "0.75"),), closed=closed)
    after = await house.aggregator.tick()
    assert before.kalshi.realized_pnl == Decimal("15.25")
    assert after.kalshi.realized_pnl == Decimal("16.25")
    assert after.kalshi.fees == Decimal("1.75")


async def test_a_kept_reading_sets_no_market_back(house):
    await house.aggregator.restore()
    settled = replace(position("A", "12", "1"), settled=True)
    house.kalshi.value = KalshiPortfolio(Decimal(100), (settled,))
    await house.aggregator.tick()
    now = int(house.wall() * 1000)
    older = KalshiPortfolio(Decimal(100), (position("A", "10", "1"),))
    house.kalshi.read = _reads(Reading("kalshi", older, now, now, "redis", "it failed"))
    await house.aggregator.tick()
    assert house.store.markets.is_settled(("A", 0))
    assert house.store.markets.closed_except(()).realized_pnl == 12


def _reads(reading):
    async def read(patience=None):
        return reading

    return read


async def test_sources_that_never_answered_are_named_and_counted_as_zero(house):
    await house.aggregator.restore()
    for source in (house.kalshi, house.anthropic, house.johns):
        source.value = None
    snapshot = await house.aggregator.tick()
    assert snapshot.degraded == ("kalshi", "anthropic", "johns")
    assert snapshot.net_pnl == 0
