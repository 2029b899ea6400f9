"""An aggregator over a real store and hub, with sources of which the test chooses the readings."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from pnl_backend.aggregator import Aggregator
from pnl_backend.domain.readings import AnthropicSpend, KalshiPortfolio, Position, Reading, Revenue
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store
from pnl_backend.stream.hub import Hub
from tests.support.snapshots import classic_accounting
from tests.waiting import PATIENCE

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
        async with asyncio.timeout(PATIENCE):
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
