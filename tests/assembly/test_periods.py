"""Today, the month and all: right across midnight, month ends, daylight saving and days without a server."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnl_backend.aggregator import Aggregator
from pnl_backend.assembly.adapters import Periods
from pnl_backend.domain.readings import AnthropicSpend, KalshiPortfolio, Position, Reading, Revenue
from pnl_backend.domain.snapshot import Snapshot, trend
from pnl_backend.domain.times import day_start
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store
from pnl_backend.stream.hub import Hub
from pnl_backend.wire.json_values import ms_of
from tests.support.snapshots import classic_accounting

HOUR = 3600
SUMS = {"totalRevenue": "total_revenue", "totalExpenses": "total_expenses", "netPnL": "net_pnl"}


class Wall:
    """A wall clock that tests set; seconds since the epoch."""

    def __init__(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


class Source:
    """A source that reads what it is given."""

    def __init__(self, name: Any, wall: Wall) -> None:
        self.name = name
        self.wall = wall
        self.value: Any = None

    async def read(self, patience: float | None = None) -> Reading[Any]:
        now = int(self.wall() * 1000)
        return Reading(self.name, self.value, now, now, "live")


class Breaking:
    """A real ledger that refuses on command."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, *given: Any, **named: Any) -> None:
        if self.broken:
            raise StoreError("no room on the disk")
        await self._store.append(*given, **named)


@dataclass
class Shown:
    """What a client was told at one moment."""

    snapshot: Snapshot
    all: dict[str, Any]
    mtd: dict[str, Any]
    today: dict[str, Any]


class Server:
    """The loop, the hub and the periods over one ledger, as after a start at the wall's time."""

    def __init__(self, store: Any, wall: Wall, zone: str) -> None:
        self.wall = wall
        self.zone = ZoneInfo(zone)
        self.kalshi, self.anthropic, self.johns = (Source(name, wall) for name in ("kalshi", "anthropic", "johns"))
        self.hub = Hub(store)
        self.aggregator = Aggregator(
            sources={"kalshi": self.kalshi, "anthropic": self.anthropic, "johns": self.johns},
            accounting=classic_accounting(),
            ledger=store,
            publisher=self.hub,
            interval=5,
            patience=1,
            zone=self.zone,
            clock=wall,
        )
        self.periods = Periods(self.hub, store, self.zone, baseline=lambda: self.aggregator.baseline)

    async def tick(self, collected: Decimal, fees: Decimal = Decimal(0)) -> Shown:
        """A snapshot of these figures, and what each period says of it."""
        today = datetime.fromtimestamp(self.wall(), UTC).date()
        self.kalshi.value = KalshiPortfolio(Decimal(0), (Position("A", Decimal(0), Decimal(0), Decimal(0), fees),))
        self.anthropic.value = AnthropicSpend(today, today, ())
        self.johns.value = Revenue(collected, collected)
        snapshot = await self.aggregator.tick()
        whole, month, day = [
            orjson.loads((await self.periods.snapshot(period))[0]) for period in ("all", "mtd", "today")
        ]
        return Shown(snapshot, whole, month, day)


async def started(store: Any, wall: Wall, zone: str) -> Server:
    server = Server(store, wall, zone)
    await server.aggregator.restore()
    return server


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    opened = await Store.open(tmp_path / "pnl.db", origin="live")
    yield opened
    await opened.close()


STARTS = [
    ("2026-03-07T20:00", "America/New_York"),  # the clocks go forward on the 8th
    ("2026-10-30T20:00", "America/New_York"),  # and back on November 1st, with the month
    ("2026-02-27T20:00", "UTC"),
    ("2018-11-03T20:00", "America/Sao_Paulo"),  # midnight of the 4th does not exist
    ("2011-12-28T20:00", "Pacific/Apia"),  # the 30th does not exist
    ("2026-12-30T20:00", "Asia/Kolkata"),
]
moments = st.lists(
    st.tuples(
        st.sampled_from([5, 60, 20 * 60, 3 * HOUR, 7 * HOUR, 24 * HOUR, 50 * HOUR, 9 * 24 * HOUR]),
        st.decimals(0, 10**6, places=2),
        st.decimals(0, 10**4, places=2),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25)
@given(st.sampled_from(STARTS), moments)
def test_periods_add_up_whatever_happens_between_two_snapshots(start: tuple[str, str], steps: list[Any]) -> None:
    """Each step: so many seconds later, new figures, and whether the server was restarted meanwhile."""

    async def run(place: Path) -> None:
        began, zone = start
        wall = Wall(began)
        store = await Store.open(place, origin="live", synchronous="NORMAL", timezone=zone)
        published: list[Snapshot] = []
        try:
            server = await started(store, wall, zone)
            for seconds, collected, fees, restarted in steps:
                wall.now += seconds
                if restarted:
                    server = await started(store, wall, zone)
                shown = await server.tick(collected, fees)
                hold(shown, published, ZoneInfo(zone))
                published.append(shown.snapshot)
        finally:
            await store.close()

    with tempfile.TemporaryDirectory() as place:
        asyncio.run(run(Path(place) / "pnl.db"))


def hold(shown: Shown, before: list[Snapshot], zone: ZoneInfo) -> None:
    """Hold what was shown against the snapshots before it, by the calendar of the wall."""
    now = local(shown.snapshot, zone)
    earlier = [one for one in before if local(one, zone) < now]
    month = [one for one in earlier if local(one, zone) < now.replace(day=1)]
    for period, bases in ((shown.today, earlier), (shown.mtd, month)):
        base = bases[-1] if bases else (before or [shown.snapshot])[0]
        assert period.get("partial", False) == (not bases), "it began before there was anything complete"
        begins = midnight(shown.snapshot, zone) if period is shown.today else midnight(shown.snapshot, zone, 1)
        assert ms_of(period["since"]) == (begins if bases else base.at)
        net = shown.snapshot.net_pnl - base.net_pnl
        assert cents(period["netPnL"]) == net
        for name, attribute in SUMS.items():
            part = getattr(base, attribute)
            assert cents(shown.all[name]) == cents(period[name]) + part, "what was before and the period make all"
    assert cents(shown.all["netPnL"]) == shown.snapshot.net_pnl
    first = (before or [shown.snapshot])[0]
    measured = earlier[-1] if earlier else first
    assert shown.snapshot.daily_trend == trend(shown.snapshot.net_pnl, measured.net_pnl)
    assert shown.all["dailyTrend"] == shown.today["dailyTrend"] == shown.mtd["dailyTrend"]


def midnight(snapshot: Snapshot, zone: ZoneInfo, day: int | None = None) -> int:
    """The first instant of the snapshot's business day, or of another day of its month; ms."""
    of = local(snapshot, zone)
    return day_start(of if day is None else of.replace(day=day), zone)


def local(snapshot: Snapshot, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(snapshot.at / 1000, zone).date()


def cents(number: float) -> Decimal:
    return Decimal(repr(number))


async def test_a_day_without_a_server_is_measured_against_what_was_last_known(store: Store) -> None:
    wall = Wall("2026-02-27T12:00")
    server = await started(store, wall, "UTC")
    await server.tick(Decimal(100))
    wall.now += 72 * HOUR  # the 28th and the 1st of March pass
    server = await started(store, wall, "UTC")
    shown = await server.tick(Decimal(150))
    assert shown.today["netPnL"] == shown.mtd["netPnL"] == 50
    assert shown.all["dailyTrend"] == 50
    wall.now += 24 * HOUR
    shown = await server.tick(Decimal(180))
    assert (shown.today["netPnL"], shown.mtd["netPnL"], shown.all["netPnL"]) == (30, 80, 180)


async def test_the_last_snapshot_before_midnight_counts_though_it_could_not_be_stored(store: Store) -> None:
    wall = Wall("2026-02-28T12:00")
    ledger = Breaking(store)
    server = await started(ledger, wall, "UTC")
    await server.tick(Decimal(100))
    ledger.broken = True
    wall.now += 11 * HOUR
    await server.tick(Decimal(300))
    wall.now += 2 * HOUR
    shown = await server.tick(Decimal(310))
    assert (shown.today["netPnL"], shown.mtd["netPnL"]) == (10, 10)
    wall.now += 24 * HOUR
    shown = await server.tick(Decimal(315))
    assert shown.today["netPnL"] == 5
    ledger.broken = False
    shown = await server.tick(Decimal(320))
    assert (shown.today["netPnL"], shown.mtd["netPnL"], shown.all["netPnL"]) == (10, 20, 320)


async def test_a_new_month_has_a_new_base(store: Store) -> None:
    wall = Wall("2026-01-31T23:59:59")
    server = await started(store, wall, "UTC")
    await server.tick(Decimal(100))
    for day in range(3):
        wall.now += 1 if day == 0 else 24 * HOUR
        shown = await server.tick(Decimal(100 + 10 * (day + 1)))
        assert (shown.today["netPnL"], shown.mtd["netPnL"]) == (10, 10 * (day + 1))
    wall.now += 28 * 24 * HOUR
    shown = await server.tick(Decimal(200))
    assert (shown.today["netPnL"], shown.mtd["netPnL"], shown.all["netPnL"]) == (70, 70, 200)


async def test_a_period_begins_with_a_snapshot_that_each_source_is_in(store: Store) -> None:
    """Kalshi has told nothing in the last snapshot of the month: its first figures are no gain of the new month."""
    wall = Wall("2026-01-31T23:00:00")
    server = await started(store, wall, "UTC")
    await server.tick(Decimal(100), fees=Decimal(40))
    wall.now += HOUR / 2
    server = await started(store, wall, "UTC")
    server.kalshi.value = None
    incomplete = await server.aggregator.tick()
    assert incomplete.degraded == ("kalshi", "anthropic", "johns")
    wall.now += HOUR
    shown = await server.tick(Decimal(110), fees=Decimal(40))
    assert (shown.today["netPnL"], shown.mtd["netPnL"], shown.all["netPnL"]) == (10, 10, 70)
    wall.now += 24 * HOUR
    server = await started(store, wall, "UTC")
    shown = await server.tick(Decimal(130), fees=Decimal(40))
    assert (shown.today["netPnL"], shown.mtd["netPnL"], shown.all["netPnL"]) == (20, 30, 90)
