"""The loop: drift-free ticks, failures told once, a ledger that comes and goes, the turn of the day."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import orjson
import pytest

from pnl_backend.aggregator import Aggregator
from pnl_backend.domain.readings import AnthropicSpend, KalshiPortfolio, Position, Reading, Revenue
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store
from pnl_backend.sources.registry import classic_accounting
from pnl_backend.stream.hub import Hub

NOON = int(datetime(2026, 3, 7, 12, tzinfo=UTC).timestamp())


class Wall:
    """A wall clock that tests set; seconds since the epoch."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Given:
    """A source that reads what it is given, or raises it."""

    def __init__(self, source, value, wall):
        self.source, self.value, self.wall, self.failure = source, value, wall, None
        self.patience = None
        self.asked = asyncio.Event()

    async def read(self, patience=None):
        self.patience = patience
        self.asked.set()
        if self.failure:
            raise self.failure
        now = int(self.wall() * 1000)
        if self.value is None:
            return Reading(self.source, None, 0, 0, "fallback", "never answered")
        return Reading(self.source, self.value, now, now, "live")


class Sink:
    def __init__(self):
        self.seen, self.errors = [], 0
        self.more = asyncio.Event()

    async def publish(self, publication):
        self.seen.append(publication)
        self.more.set()

    async def stream_error(self):
        self.errors += 1
        self.more.set()

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition(self):
                self.more.clear()
                await self.more.wait()


class Flaky:
    """A real store whose append fails on command."""

    def __init__(self, store):
        self._store = store
        self.broken = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def append(self, record, *, positions=()):
        if self.broken:
            raise StoreError("no room on the disk")
        await self._store.append(record, positions=positions)


class House:
    """An aggregator over a real store and hub."""

    def __init__(self, store, wall, *, zone="UTC", interval=0.02, **options):
        self.wall = wall
        self.store = Flaky(store)
        self.hub = Hub(store)
        self.sink = Sink()
        self.hub.attach(self.sink)
        today = datetime.fromtimestamp(wall(), UTC).date()
        self.kalshi = Given("kalshi", KalshiPortfolio(Decimal(100), (position("A", "10"),)), wall)
        self.anthropic = Given("anthropic", AnthropicSpend(today, today, ()), wall)
        self.johns = Given("johns", Revenue(Decimal(50), Decimal(40)), wall)
        self.aggregator = Aggregator(
            sources={"kalshi": self.kalshi, "anthropic": self.anthropic, "johns": self.johns},
            accounting=classic_accounting(),
            ledger=self.store,
            publisher=self.hub,
            interval=interval,
            patience=0.5,
            zone=ZoneInfo(zone),
            clock=wall,
            **options,
        )

    def collect(self, amount):
        self.johns.value = Revenue(Decimal(amount), Decimal(amount))


def position(ticker, realized, fees="0"):
    return Position(ticker, Decimal(0), Decimal(0), Decimal(realized), Decimal(fees))


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path / "pnl.db", origin="live", clock=Wall())
    yield opened
    await opened.close()


@pytest.fixture
def house(store):
    return House(store, Wall())


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
        async with asyncio.timeout(20):
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


async def test_the_day_is_measured_against_the_last_snapshot_of_the_day_before(store):
    wall = Wall()
    house = House(store, wall)
    await house.aggregator.restore()
    house.collect(90)
    assert (await house.aggregator.tick()).daily_trend == 0
    house.collect(190)
    snapshot = await house.aggregator.tick()
    assert snapshot.daily_trend == 100, "on the first day, against the first snapshot held (100)"
    wall.now += 86_400
    house.collect(290)
    snapshot = await house.aggregator.tick()
    assert snapshot.daily_trend == 50
    assert house.aggregator.previous_day.net_pnl == 200
    again = House(store, wall)
    await again.aggregator.restore()
    again.collect(390)
    snapshot = await again.aggregator.tick()
    assert snapshot.daily_trend == 100, "a restart measures against the same"
    assert again.aggregator.previous_day.net_pnl == 200


async def test_the_first_day_is_measured_against_its_first_complete_snapshot(store):
    wall = Wall()
    house = House(store, wall)
    await house.aggregator.restore()
    known, house.kalshi.value = house.kalshi.value, None
    for collected in (90, 190):
        house.collect(collected)
        snapshot = await house.aggregator.tick()
        assert (snapshot.daily_trend, snapshot.degraded) == (0, ("kalshi",)), "there is nothing to measure against"
    house.kalshi.value = known
    snapshot = await house.aggregator.tick()
    assert (snapshot.daily_trend, snapshot.net_pnl) == (0, 200)
    house.collect(390)
    assert (await house.aggregator.tick()).daily_trend == 100
    again = House(store, wall)
    await again.aggregator.restore()
    again.collect(590)
    assert (await again.aggregator.tick()).daily_trend == 200, "a restart measures against the same"


async def test_a_day_is_measured_against_the_last_snapshot_of_the_day_before_that_is_complete(store):
    """The server restarts before midnight and Kalshi answers no more until the day after."""
    wall = Wall()
    house = House(store, wall)
    await house.aggregator.restore()
    house.collect(190)
    await house.aggregator.tick()  # 200, complete
    again = House(store, wall)
    await again.aggregator.restore()
    known, again.kalshi.value = again.kalshi.value, None
    again.collect(190)
    assert (await again.aggregator.tick()).degraded == ("kalshi",)
    wall.now += 86_400
    again.kalshi.value = known
    again.collect(290)
    snapshot = await again.aggregator.tick()
    assert (snapshot.net_pnl, snapshot.daily_trend) == (300, 50)
    assert again.aggregator.previous_day.net_pnl == 200
    third = House(store, wall)
    await third.aggregator.restore()
    assert third.aggregator.previous_day.net_pnl == 200, "a restart measures against the same"
    third.collect(390)
    assert (await third.aggregator.tick()).daily_trend == 100


async def test_a_day_before_without_a_complete_snapshot_is_no_day_to_measure_against(store):
    wall = Wall()
    house = House(store, wall)
    await house.aggregator.restore()
    known, house.kalshi.value = house.kalshi.value, None
    await house.aggregator.tick()
    wall.now += 86_400
    assert (await house.aggregator.tick()).daily_trend == 0
    house.kalshi.value = known
    house.collect(190)
    assert (await house.aggregator.tick()).daily_trend == 0
    assert house.aggregator.previous_day is None
    house.collect(390)
    assert (await house.aggregator.tick()).daily_trend == 100, "against the first complete snapshot (200)"
    again = House(store, wall)
    await again.aggregator.restore()
    again.collect(590)
    assert (await again.aggregator.tick()).daily_trend == 200


async def test_an_unconfigured_source_is_not_reported_as_missing(store):
    wall = Wall()
    house = House(store, wall, configured=frozenset({"kalshi", "johns"}))
    house.anthropic.value = None
    await house.aggregator.restore()
    house.collect(190)
    assert (await house.aggregator.tick()).degraded == ("anthropic",)
    wall.now += 86_400
    house.collect(290)
    assert (await house.aggregator.tick()).daily_trend == 50
    again = House(store, wall, configured=frozenset({"kalshi", "johns"}))
    await again.aggregator.restore()
    assert again.aggregator.previous_day.net_pnl == 200


async def test_the_day_turns_at_midnight_of_the_business_time_zone(store):
    wall = Wall(datetime(2026, 3, 8, 4, 59, 59, tzinfo=UTC).timestamp())  # one second before midnight in New York
    house = House(store, wall, zone="America/New_York")
    await house.aggregator.restore()
    await house.aggregator.tick()
    wall.now += 1
    house.collect(150)
    assert (await house.aggregator.tick()).daily_trend == 220
    assert house.aggregator.previous_day is not None


async def test_a_clock_that_jumps_back_neither_turns_the_day_nor_the_sequence(store):
    wall = Wall()
    house = House(store, wall)
    await house.aggregator.restore()
    await house.aggregator.tick()
    wall.now -= 90_000
    snapshot = await house.aggregator.tick()
    wall.now += 90_000
    assert snapshot.seq == 2
    assert (await house.aggregator.tick()).seq == 3
    assert house.aggregator.previous_day is None


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
