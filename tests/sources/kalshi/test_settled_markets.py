"""Settled and archived markets over HTTP and with a real ledger: read once, counted always, exact at every moment."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pnl_backend.domain.readings import Progress
from pnl_backend.domain.times import DAY_MS
from pnl_backend.errors import FetchError, StoreError
from pnl_backend.ledger.sqlite import Store
from pnl_backend.simulator import Book, Fault, Simulator
from pnl_backend.sources.kalshi import importer
from pnl_backend.sources.kalshi.simulator.records import Market
from pnl_backend.sources.kalshi.simulator.truth import KalshiTruth
from tests.sources.kalshi.desk import Desk, figures, held, settle
from tests.waiting import PATIENCE

LISTS = ("/portfolio/positions", "/historical/positions", "/portfolio/settlements")


async def test_the_first_reading_does_not_wait_for_history_and_is_marked(desk, simulator):
    simulator.kalshi.archive()
    async with desk() as run:
        first = await run.poll()
        assert simulator.requests["kalshi"]["/historical/positions"] == 0
        assert first.importing == Progress("settled markets", 0)
        assert first.closed.count == 0
        truth: KalshiTruth = simulator.truth().kalshi
        assert first.realized_pnl != truth.realized_pnl
        await run.imported()
        whole = await run.poll()
        run.assert_exact(whole)
        assert whole.closed.realized_pnl != 0


async def test_the_first_reading_of_a_small_account_is_complete(desk, simulator):
    simulator.kalshi.archive()
    async with desk(first_import=30.0) as run:
        run.assert_exact(await run.poll())


async def test_the_first_reading_waits_for_a_slow_history_only_so_long(desk, simulator):
    simulator.kalshi.archive()
    simulator.faults.set("kalshi", Fault.slow(30.0, path="/historical/positions"))
    async with desk(first_import=0.2) as run:
        assert (await run.poll()).importing is not None
        assert (await run.poll()).importing is not None
        simulator.faults.clear("kalshi")
        await run.imported()
        run.assert_exact(await run.poll())


async def test_what_was_archived_before_the_first_run_counts_after_a_restart_without_being_read_again(desk, simulator):
    simulator.kalshi.archive()
    async with desk() as run:
        await run.poll()
        await run.imported()
    asked = simulator.requests["kalshi"].copy()
    async with desk() as run:
        await run.imported()
        run.assert_exact(await run.poll())
    assert simulator.requests["kalshi"]["/historical/positions"] == asked["/historical/positions"]


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(("result", "value"), [("yes", None), ("no", None), ("scalar", Decimal("0.37"))])
async def test_a_market_that_settles_between_two_fetches_is_exact_in_the_next_one(
    desk, simulator, result, value, archived
):
    async with desk() as run:
        await run.poll()
        await run.imported()
        for ticker in held(simulator):
            simulator.kalshi.determine(ticker, result, value)
            run.assert_exact(await run.poll())
            simulator.kalshi.settle(ticker)
            if archived:
                simulator.kalshi.archive([ticker])
            run.assert_exact(await run.poll(commit=False))
            run.assert_exact(await run.poll(commit=False))
            run.assert_exact(await run.poll())


async def test_a_market_that_settles_and_is_archived_while_the_server_is_down_is_exact_in_the_first_fetch(
    desk, simulator
):
    async with desk() as run:
        await run.poll()
        await run.imported()
    tickers = held(simulator)
    for ticker in tickers:
        settle(simulator, ticker, "no")
    simulator.kalshi.archive(tickers[::2])
    async with desk() as run:
        run.assert_exact(await run.poll())


async def test_a_market_that_opens_and_settles_between_two_fetches_is_not_missed(desk, simulator):
    async with desk() as run:
        await run.poll()
        await run.imported()
        price = Decimal("0.41")
        simulator.kalshi.exchange.markets["NEW-1"] = Market("NEW-1", "New", price, price, price, price)
        simulator.kalshi.trade("NEW-1", "yes", Decimal(7), price)
        settle(simulator, "NEW-1")
        run.assert_exact(await run.poll())


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("stopped", [False, True])
async def test_a_corrected_outcome_of_a_settled_market_is_found_by_the_cash_that_it_moves(
    desk, simulator, archived, stopped, monkeypatch
):
    monkeypatch.setattr(importer, "SOONEST_AGAIN", 0.0)
    monkeypatch.setattr(importer, "SHARE", float("inf"))
    ticker = held(simulator)[0]
    async with desk() as run:
        settle(simulator, ticker)
        if archived:
            simulator.kalshi.archive([ticker])
        for _ in range(2):
            await run.poll()
            await run.imported()
        run.assert_exact(await run.poll())
        asked = simulator.requests["kalshi"]["/historical/positions"]
        await run.imported()
        assert simulator.requests["kalshi"]["/historical/positions"] == asked, "nothing is read again without a reason"
        if not stopped:
            simulator.kalshi.revise(ticker, "no")
            await run.poll()
            await until_exact(run)
    if stopped:
        simulator.kalshi.revise(ticker, "no")
        async with desk() as run:
            await run.poll()
            await until_exact(run)


async def until_exact(run: Desk) -> None:
    """Read what is due until the account is exact."""
    async with asyncio.timeout(PATIENCE):
        while (await run.poll()).realized_pnl != run.simulator.truth().kalshi.realized_pnl:
            await run.imported()
    run.assert_exact(await run.poll())


async def test_many_missing_markets_are_left_to_the_import_and_the_reading_is_marked(desk, simulator, monkeypatch):
    monkeypatch.setattr("pnl_backend.sources.kalshi.fetcher.MOST_AT_ONCE", 2)
    async with desk() as run:
        await run.poll()
        await run.imported()
        for ticker in held(simulator):
            settle(simulator, ticker)
        portfolio = await run.poll()
        assert portfolio.importing is not None
        truth = simulator.truth().kalshi
        _, realized, unrealized, fees = figures(portfolio)
        assert (realized + unrealized, fees) == (truth.pnl, truth.fees), "marked at what they settled at"
        await run.imported()
        run.assert_exact(await run.poll())


async def test_an_import_that_is_killed_goes_on_where_it_was(tmp_path, client, monkeypatch):
    monkeypatch.setattr("pnl_backend.sources.kalshi.api.PAGE_LIMIT", 10)
    monkeypatch.setattr(importer.KalshiApi.pages, "__kwdefaults__", {"limit": 10, "cursor": ""})
    book = Book.large(time.time(), settled=100, still_open=3, fills=400)
    async with Simulator(book, step_interval=None, kalshi_rate=None) as simulator:
        store = await Store.open(tmp_path / "pnl.db", origin="live")
        run = Desk(store, simulator, client)
        simulator.kalshi.set_live_days(200)
        pages = -(-len([p for p in simulator.trading.account.positions.values() if p.settled]) // 10)
        assert pages > 3
        first = store.markets.save
        saved = 0

        async def killed(*page: Any) -> None:
            nonlocal saved
            if saved == 2:
                raise KeyboardInterrupt
            saved += 1
            await first(*page)

        monkeypatch.setattr(store.markets, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            await run.imported()
        await store.close()
        asked = simulator.requests["kalshi"]["/portfolio/positions"]

        store = await Store.open(tmp_path / "pnl.db", origin="live")
        run = Desk(store, simulator, client)
        portfolio = await run.poll()
        assert portfolio.importing == Progress("settled markets", 20)
        await run.imported()
        assert simulator.requests["kalshi"]["/portfolio/positions"] - asked == 1 + pages - 2
        run.assert_exact(await run.poll())
        await store.close()


async def test_a_failing_list_keeps_what_was_read_and_the_import_goes_on_later(desk, simulator):
    async with desk() as run:
        await run.poll()
        simulator.set_fault("kalshi", Fault.status(500, path="/historical/positions"))
        with pytest.raises(FetchError):
            await run.imported()
        portfolio = await run.poll()
        assert portfolio.importing == Progress("archived markets", 0)
        simulator.clear_faults()
        await run.imported()
        run.assert_exact(await run.poll())


async def test_a_ledger_that_cannot_be_written_counts_what_was_imported(desk, simulator, monkeypatch):
    simulator.kalshi.archive()
    async with desk() as run:
        await run.poll()

        def full(*_: Any) -> Any:
            raise StoreError("no space left")

        with monkeypatch.context() as broken:
            broken.setattr(run.store._database, "_transact", full)
            await run.imported()
            run.assert_exact(await run.poll(commit=False))
        await run.poll()
    async with desk() as run:
        assert simulator.requests["kalshi"]["/historical/positions"] == 1
        run.assert_exact(await run.poll())


async def test_an_account_that_is_removed_is_imported_again(desk, simulator):
    async with desk() as run:
        await run.poll()
        await run.imported()
        await run.store.forget_account()
        assert (await run.poll()).importing == Progress("settled markets", 0)
    async with desk() as run:
        assert (await run.poll()).importing == Progress("settled markets", 0)


async def test_a_poll_of_20000_settled_and_500_open_markets_asks_for_and_keeps_the_open_ones_alone(tmp_path, client):
    book = Book.large(time.time(), settled=20_000, still_open=500, fills=41_000)
    async with Simulator(book, step_interval=None, kalshi_rate=None) as simulator:
        store = await Store.open(tmp_path / "pnl.db", origin="live")
        run = Desk(store, simulator, client)
        await run.poll()
        await run.imported()
        before = simulator.requests["kalshi"].copy()
        portfolio = await run.poll()
        asked = simulator.requests["kalshi"] - before
        run.assert_exact(portfolio)
        assert portfolio.closed.count == 20_000
        assert len(portfolio.positions) == 500
        assert {path: asked[path] for path in LISTS} == dict(zip(LISTS, (1, 0, 1), strict=True))
        await store.close()


async def test_unknown_fields_and_missing_optional_ones_refuse_no_row(desk, simulator):
    optional = ["settlement_value_dollars", "settlement_value", "settlement_ts", "cursor", "portfolio_value"]
    optional += ["exchange_index", "last_updated_ts", "total_traded_dollars", "event_positions"]
    for fault in (Fault.extra_fields(), Fault.missing_fields(optional)):
        simulator.set_fault("kalshi", fault)
        async with desk() as run:
            await run.poll()
            await run.imported()
            truth = simulator.truth().kalshi
            portfolio = await run.poll()
            assert (portfolio.realized_pnl, portfolio.fees) == (truth.realized_pnl, truth.fees)
            assert portfolio.importing is None
        simulator.clear_faults()


async def test_a_list_that_a_wrong_clock_dated_in_the_future_is_read_again(desk, simulator):
    async with desk() as run:
        await run.poll()
        await run.imported()
        read = run.store.markets.list_read("settled:0")
        await run.store.markets.save((), replace(read, complete_at=read.complete_at + 400 * DAY_MS))
        asked = simulator.requests["kalshi"]["/portfolio/positions"]
        await run.imported()
        await run.imported()
        assert simulator.requests["kalshi"]["/portfolio/positions"] == asked + 1


async def test_an_import_leaves_enough_of_the_request_limit_for_the_polls(tmp_path, client, monkeypatch):
    monkeypatch.setattr(importer.KalshiApi.pages, "__kwdefaults__", {"limit": 10, "cursor": ""})
    book = Book.large(time.time(), settled=280, still_open=3, fills=600)
    book.live_days = None
    async with Simulator(book, step_interval=None) as simulator:
        store = await Store.open(tmp_path / "pnl.db", origin="live")
        run = Desk(store, simulator, client)
        await run.poll()
        await run.imported()
        run.assert_exact(await run.poll())
        assert simulator.requests["kalshi"]["/portfolio/positions"] == 2 + 28
        await store.close()
