"""What a day is measured against, and when it turns."""

from datetime import UTC, datetime

from tests.aggregator.conftest import House, Wall


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
