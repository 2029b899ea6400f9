"""The import of fills and settlements over real HTTP into a real ledger: whole, in pages, from where it stopped."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from loguru import logger

from pnl_backend.domain.times import LAST_NAMED_DAY
from pnl_backend.errors import FetchError, StoreError
from pnl_backend.ledger import trade_import
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.trade_import import TradeImport
from pnl_backend.simulator import Book, Fault, Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer

FILLS, ARCHIVED, SETTLEMENTS = "/portfolio/fills", "/historical/fills", "/portfolio/settlements"


class Import:
    """An import of a simulated account into a ledger; `again` begins it anew, as after a restart."""

    def __init__(self, store: Store, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        keys = simulator.credentials()
        signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem)
        client = UpstreamClient(session, timeout=10)
        self.history = KalshiFetcher(client, base_url=simulator.kalshi_url, signer=signer).history
        self.store = store
        self.simulator = simulator
        self.now = time.time()
        self.recorded: list[tuple[str, list[str]]] = []
        self.again()

    def again(self) -> TradeImport:
        async def on_recorded(kind: str, tickers: Any) -> None:
            self.recorded.append((kind, list(tickers)))

        facts = self.store.facts
        self.trades = TradeImport(self.history, facts, on_recorded, clock=lambda: self.now)
        return self.trades

    async def finish(self) -> None:
        """Run until there is nothing left to read."""
        await self.trades.run()
        while not self.trades.finished:
            await self.trades.run()

    async def stored(self) -> set[str]:
        return {fill.fill_id for fill in await self.store.facts.fills(0, LAST_NAMED_DAY, limit=10**6)}

    def upstream(self) -> set[str]:
        account = self.simulator.trading.account
        return {fill.fill_id for rows in (account.fills, account.older_fills) for fill in rows if fill.subaccount == 0}

    def asked(self, path: str) -> int:
        return self.simulator.requests["kalshi"][path]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "pnl.db", origin="live")
    yield opened
    await opened.close()


async def importing(store: Store, book: Book | None) -> AsyncIterator[Import]:
    async with Simulator(book, step_interval=None, kalshi_rate=None) as simulator, aiohttp.ClientSession() as session:
        made = Import(store, simulator, session)
        yield made
        await made.trades.close()


@pytest.fixture
async def small(store: Store) -> AsyncIterator[Import]:
    async for made in importing(store, None):
        yield made


@pytest.fixture
async def large(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Import]:
    """9,000 fills over 400 days, most of them archived."""
    monkeypatch.setattr(trade_import, "PAUSE", 0.0)
    async for made in importing(store, Book.large(time.time(), settled=150, still_open=10, fills=9000)):
        yield made


@pytest.fixture
def lines() -> Any:
    logged: list[str] = []
    sink = logger.add(lambda line: logged.append(str(line).strip()), format="{level} {message}", level="INFO")
    yield logged
    logger.remove(sink)


async def test_live_and_archived_fills_are_imported_once_and_then_only_what_is_new(large: Import) -> None:
    await large.finish()
    assert await large.stored() == large.upstream()
    assert large.trades.complete
    assert large.trades.importing is None
    assert min(large.asked(FILLS), large.asked(ARCHIVED)) > 1
    assert large.asked(FILLS) + large.asked(ARCHIVED) <= 20, "a page holds a thousand"
    before = large.asked(FILLS), large.asked(ARCHIVED)
    large.simulator.step(300)
    await large.finish()
    assert await large.stored() == large.upstream()
    assert (large.asked(FILLS), large.asked(ARCHIVED)) == (before[0] + 1, before[1]), "the archive is read once a day"
    large.now += 86_400
    await large.again().run()
    assert large.asked(ARCHIVED) == before[1] + 1, "what is known of it is not read again"


async def test_pages_are_stored_as_they_arrive(large: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_import, "SLICE", 0.0)
    sizes: list[int] = []
    add = large.store.facts.add_fills

    async def counting(fills: Any) -> Any:
        sizes.append(len(fills))
        return await add(fills)

    monkeypatch.setattr(large.store.facts, "add_fills", counting)
    await large.trades.run()
    assert len(await large.stored()) == 1000
    assert large.trades.importing is not None
    assert large.trades.importing.done == 1000
    assert not large.trades.complete
    await large.finish()
    assert await large.stored() == large.upstream()
    assert max(sizes) == trade_import.BATCH
    assert large.asked(ARCHIVED) <= 8, "a run continues the request that is open"


@pytest.mark.parametrize("path", [FILLS, ARCHIVED])
async def test_an_interrupted_first_import_goes_on_where_it_stopped(
    large: Import, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A failure after the first page of each run, and a restart after each failure."""
    save = large.store.facts.walks.save

    async def failing_next(walk: Any) -> None:
        await save(walk)
        if walk.name.startswith("archived") == (path == ARCHIVED):
            large.simulator.set_fault("kalshi", Fault.status(500, path=path))

    monkeypatch.setattr(large.store.facts.walks, "save", failing_next)
    known = 0
    for _ in range(2 if path == FILLS else 4):
        with pytest.raises(FetchError):
            await large.again().run()
        large.simulator.clear_faults()
        stored = await large.stored()
        assert known < len(stored) < len(large.upstream())
        assert not large.trades.complete
        known = len(stored)
    monkeypatch.setattr(large.store.facts.walks, "save", save)
    large.again()
    await large.finish()
    assert await large.stored() == large.upstream()
    assert large.asked(FILLS) + large.asked(ARCHIVED) < 30, "what was read is not read again"


async def test_what_happens_during_an_import_is_imported_too(large: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_import, "SLICE", 0.0)
    await large.trades.run()
    large.simulator.step(300)
    await large.finish()
    large.again()
    await large.finish()
    assert await large.stored() == large.upstream()


async def test_a_full_disk_in_the_middle_loses_nothing(large: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    add, calls = large.store.facts.add_fills, []

    async def breaking(fills: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise StoreError("no room on the disk")
        return await add(fills)

    monkeypatch.setattr(large.store.facts, "add_fills", breaking)
    with pytest.raises(StoreError):
        await large.trades.run()
    assert large.recorded, "what was stored is passed on"
    await large.finish()
    assert await large.stored() == large.upstream()


async def test_settlements_are_all_imported(small: Import) -> None:
    small.simulator.step(3000)
    await small.finish()
    stored = await small.store.facts.settlements(0, LAST_NAMED_DAY)
    known = [row for row in small.simulator.trading.account.settlements if row.subaccount == 0]
    assert len(stored) == len(known) > 0
    assert sum(row.revenue for row in stored) == sum((round(row.revenue, 2) for row in known), Decimal(0))


async def test_fills_of_a_market_that_was_archived_before_they_were_read(small: Import) -> None:
    await small.finish()
    simulator = small.simulator
    ticker = next(market.ticker for market in simulator.trading.markets.values() if market.status == "active")
    simulator.kalshi.trade(ticker, "yes", Decimal(3), Decimal("0.40"))
    simulator.kalshi.determine(ticker, "yes")
    simulator.kalshi.settle(ticker)
    simulator.kalshi.archive([ticker])
    await small.finish()
    assert await small.stored() != small.upstream(), "the archive is not due"
    small.trades.include_archive()
    await small.finish()
    assert await small.stored() == small.upstream()


async def test_fills_without_their_times_are_imported_and_get_them_later(small: Import) -> None:
    small.simulator.set_fault("kalshi", Fault.missing_fields(["created_time", "ts"], path=FILLS))
    await small.finish()
    assert await small.stored() == small.upstream()
    fills = await small.store.facts.fills(0, LAST_NAMED_DAY)
    assert all(fill.time_estimated for fill in fills)
    small.simulator.clear_faults()
    small.again()
    await small.finish()
    known = {row.fill_id: int(row.ts * 1000) for row in small.simulator.trading.account.fills}
    for fill in await small.store.facts.fills(0, LAST_NAMED_DAY):
        assert not fill.time_estimated
        assert abs(fill.at - known[fill.fill_id]) <= 1


async def test_unknown_fields_in_every_row_change_nothing(small: Import) -> None:
    small.simulator.set_fault("kalshi", Fault.extra_fields())
    await small.finish()
    assert await small.stored() == small.upstream()
    assert await small.store.facts.settlements(0, LAST_NAMED_DAY)


async def test_progress_is_logged(large: Import, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_import, "SLICE", 0.0)
    await large.finish()
    assert [line for line in lines if line.startswith("INFO Importing fills/0: 1000 rows, back to 20")]
    assert [line for line in lines if line.startswith("INFO Imported archived fills/0: ")]
    assert lines[-1] == "INFO All fills and settlements of the account are in the ledger"
