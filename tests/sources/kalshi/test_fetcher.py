"""A fetcher against the simulator and a recorded account: what it reads, page by page."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from aiohttp import web

from pnl_backend.errors import InvalidResponse
from pnl_backend.simulator import Book, Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer
from tests.sources.kalshi.answers import BALANCE, MARKET, POSITION, fetcher_of, nothing_else


@pytest.mark.parametrize("generation", ["strings", "both", "cents"])
async def test_the_recorded_account(client: UpstreamClient, recorded: Book, generation):
    async with Simulator(recorded, step_interval=None, generation=generation) as simulator:
        value = (await fetcher_of(client, simulator.kalshi_url, simulator.credentials()).fetch()).value
        truth = simulator.truth().kalshi
    assert value.balance == Decimal("710.06")
    assert len(value.positions) == 41
    assert sum(p.is_open for p in value.positions) == 18
    assert sum(p.realized_pnl for p in value.positions) == Decimal("403.15")
    assert sum(p.fees for p in value.positions) == Decimal("26.73")
    assert sum(p.unrealized_pnl for p in value.positions) == truth.unrealized_pnl
    assert value.portfolio_value == truth.portfolio_value


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_both_kinds_of_key_read_the_truth_of_a_moving_book(client: UpstreamClient, simulator: Simulator, kind):
    fetcher = fetcher_of(client, simulator.kalshi_url, simulator.credentials(kalshi=kind))
    for _ in range(3):
        simulator.step(40)
        value, truth = (await fetcher.fetch()).value, simulator.truth().kalshi
        assert value.balance == truth.balance
        assert sum(p.is_open for p in value.positions) == truth.positions
        assert value.realized_pnl == truth.realized_pnl
        assert sum(p.unrealized_pnl for p in value.positions) == truth.unrealized_pnl
        assert value.fees == truth.fees
        assert {p.ticker: p.mark_source for p in value.positions if p.is_open} == truth.marks


async def test_the_reading_is_of_the_time_up_to_which_kalshi_s_data_is_complete(
    fetcher: KalshiFetcher, simulator: Simulator
):
    first = await fetcher.fetch()
    simulator.kalshi.hold_rest()
    held = await fetcher.fetch()
    again = await fetcher.fetch()
    assert first.as_of < held.as_of == again.as_of
    simulator.kalshi.release_rest()
    assert (await fetcher.fetch()).as_of > held.as_of


async def test_the_reading_is_never_later_than_its_request(client: UpstreamClient, simulator: Simulator):
    keys = simulator.credentials()
    signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem)
    fetcher = KalshiFetcher(client, base_url=simulator.kalshi_url, signer=signer, clock=lambda: 1_772_058_240.5)
    assert (await fetcher.fetch()).as_of == 1_772_058_240_500


async def test_without_kalshi_s_time_of_completeness_the_request_s_time_counts(client: UpstreamClient, serve):
    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("balance"):
            return web.json_response(BALANCE)
        return nothing_else(request.path)

    url, keys = await serve(answer), Simulator().credentials()
    signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem)
    fetcher = KalshiFetcher(client, base_url=f"{url}/trade-api/v2", signer=signer, clock=lambda: 1_772_058_240.5)
    assert (await fetcher.fetch()).as_of == 1_772_058_240_500


async def test_a_repeated_cursor_ends_the_paging(fetch):
    with pytest.raises(InvalidResponse, match=r"cursor 'again' came twice"):
        await fetch(pages=[{"market_positions": [], "cursor": "again"}])


async def test_every_page_is_read(client: UpstreamClient, serve):
    rows = [{**POSITION, "ticker": f"M-{index:04}", "position_fp": "0.00"} for index in range(2500)]
    limits = set()

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("balance"):
            return web.json_response(BALANCE)
        if request.query.get("settlement_status") != "unsettled":
            return nothing_else(request.path)
        limits.add((request.query["limit"], request.query["settlement_status"], request.query["subaccount"]))
        start = int(request.query.get("cursor", 0))
        cursor = str(start + 1000) if start + 1000 < len(rows) else ""
        return web.json_response({"market_positions": rows[start : start + 1000], "cursor": cursor})

    url = await serve(answer)
    fetched = await fetcher_of(client, f"{url}/trade-api/v2", Simulator().credentials()).fetch()
    assert len(fetched.value.positions) == 2500
    assert limits == {("1000", "unsettled", "0")}


async def test_markets_are_asked_for_in_batches_that_fit_a_request_line(client: UpstreamClient, serve):
    rows = [{**POSITION, "ticker": f"KXHIGHCHI-26FEB24-B{index:04}"} for index in range(700)]
    asked: list[list[str]] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("balance"):
            return web.json_response(BALANCE)
        if request.query.get("settlement_status") == "unsettled":
            return web.json_response({"market_positions": rows, "cursor": ""})
        if not request.path.endswith("/markets"):
            return nothing_else(request.path)
        asked.append(request.query["tickers"].split(","))
        assert len(request.raw_path) < 7000
        markets = [{**MARKET, "ticker": ticker} for ticker in asked[-1]]
        return web.json_response({"markets": markets, "cursor": ""})

    url = await serve(answer)
    fetched = await fetcher_of(client, f"{url}/trade-api/v2", Simulator().credentials()).fetch()
    assert {p.mark_source for p in fetched.value.positions} == {"bid"}
    assert sorted(itertools.chain.from_iterable(asked)) == [row["ticker"] for row in rows]
    assert len(asked) > 1
