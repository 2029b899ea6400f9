"""What becomes of a market that is in no list: closed by its settlement, or kept as it was last known."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from pnl_backend.domain.ledger_facts import Settlement
from pnl_backend.domain.readings import Position
from pnl_backend.simulator import Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.settling import closed_by
from pnl_backend.sources.kalshi.signing import Signer

HELD = {
    "ticker": "M-1",
    "position_fp": "10.00",
    "market_exposure_dollars": "3.0000",
    "realized_pnl_dollars": "1.2500",
    "fees_paid_dollars": "0.0700",
}
PAID = {
    "ticker": "M-1",
    "market_result": "yes",
    "yes_count_fp": "10.00",
    "yes_total_cost_dollars": "3.0000",
    "no_count_fp": "0.00",
    "no_total_cost_dollars": "0.0000",
    "revenue": 1000,
    "value": 100,
    "fee_cost": "0.0700",
    "settled_time": "2026-02-25T03:00:00Z",
}
FINAL = {"ticker": "M-1", "status": "finalized", "result": "yes", "settlement_value_dollars": "1.0000"}


class Kalshi:
    """An account whose rows tests set."""

    def __init__(self) -> None:
        self.unsettled: list[Any] = [HELD]
        self.settled: list[Any] = []
        self.settlements: list[Any] = []
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        path, query = request.path.removeprefix("/trade-api/v2"), request.query
        self.asked.append(f"{path} {query.get('ticker', '')}".strip())
        if path == "/portfolio/balance":
            return web.json_response({"balance_dollars": "100.0000"})
        if path == "/markets":
            return web.json_response({"markets": [FINAL], "cursor": ""})
        if path == "/portfolio/settlements":
            return web.json_response({"settlements": self.settlements, "cursor": ""})
        if path == "/exchange/user_data_timestamp":
            return web.json_response({"as_of_time": "2026-02-25T03:00:00Z"})
        rows = {"unsettled": self.unsettled, "settled": self.settled}.get(query.get("settlement_status", ""), [])
        return web.json_response({"market_positions": rows, "cursor": ""})


@pytest.fixture
def kalshi() -> Kalshi:
    return Kalshi()


@pytest.fixture
async def fetcher(kalshi: Kalshi, serve: Any, client: UpstreamClient) -> KalshiFetcher:
    keys = Simulator().credentials()
    signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem)
    return KalshiFetcher(client, base_url=f"{await serve(kalshi.answer)}/trade-api/v2", signer=signer)


async def test_a_market_that_has_a_settlement_alone_is_closed_by_it(kalshi: Kalshi, fetcher: KalshiFetcher) -> None:
    await fetcher.fetch()
    kalshi.unsettled, kalshi.settlements = [], [PAID]
    for _ in range(2):
        portfolio = (await fetcher.fetch()).value
        (closed,) = portfolio.positions
        assert (closed.quantity, closed.cost, closed.settled) == (0, 0, True)
        assert (portfolio.realized_pnl, portfolio.fees) == (Decimal("8.25"), Decimal("0.07"))
        assert portfolio.notes == ()


async def test_a_market_that_is_listed_as_settled_before_it_is_paid_out_is_asked_for_until_it_is(
    kalshi: Kalshi, fetcher: KalshiFetcher
) -> None:
    await fetcher.fetch()
    kalshi.unsettled, kalshi.settled = [], [HELD]
    for _ in range(2):
        portfolio = (await fetcher.fetch()).value
        (held,) = portfolio.positions
        assert (held.quantity, held.settled, held.mark, portfolio.notes) == (10, False, 1, ())
    paid = {"position_fp": "0.00", "market_exposure_dollars": "0.0000", "realized_pnl_dollars": "8.2500"}
    kalshi.settled = [{**HELD, **paid}]
    portfolio = (await fetcher.fetch()).value
    (closed,) = portfolio.positions
    assert (closed.quantity, closed.settled, portfolio.realized_pnl) == (0, True, Decimal("8.25"))


async def test_an_unexplained_market_keeps_its_last_row_and_the_reading_names_it(
    kalshi: Kalshi, fetcher: KalshiFetcher
) -> None:
    await fetcher.fetch()
    kalshi.unsettled = []
    portfolio = (await fetcher.fetch()).value
    (kept,) = portfolio.positions
    assert (kept.quantity, kept.realized_pnl, kept.mark, kept.mark_source) == (10, Decimal("1.25"), 1, "settlement")
    assert portfolio.notes == (
        "last known figures of M-1: no longer listed as unsettled, and not yet found as settled",
    )
    assert kalshi.asked.count("/historical/positions M-1") == 1
    await fetcher.fetch()
    await fetcher.fetch()
    assert kalshi.asked.count("/historical/positions M-1") == 2, "it is looked for again, ever more rarely"
    kalshi.unsettled = [HELD]
    assert (await fetcher.fetch()).value.notes == ()


def settlement(**changes: Any) -> Settlement:
    zero = Decimal(0)
    paid = Settlement("M-1", "yes", Decimal(10), Decimal(3), zero, zero, Decimal(10), Decimal(1), Decimal("0.07"), 1)
    return replace(paid, **changes)


KNOWN = Position("M-1", Decimal(10), Decimal(3), Decimal("1.25"), Decimal("0.07"))


@pytest.mark.parametrize(
    "settlements",
    [
        [],
        [settlement(), settlement(at=2)],
        [settlement(yes_count=Decimal(9))],
        [settlement(yes_cost=Decimal("2.99"))],
        [settlement(no_count=Decimal(1))],
    ],
    ids=["none", "two", "fewer", "cheaper", "of both sides"],
)
def test_a_settlement_of_other_contracts_closes_nothing(settlements: list[Settlement]) -> None:
    assert closed_by(settlements, KNOWN) is None


def test_a_lost_bet_and_a_flat_market_are_closed_too() -> None:
    zero = Decimal(0)
    lost = closed_by([settlement(revenue=zero)], KNOWN)
    assert lost is not None
    assert lost.realized_pnl == Decimal("-1.75")
    flat = replace(KNOWN, quantity=zero, cost=zero)
    closed = closed_by([settlement(yes_count=zero, yes_cost=zero, revenue=zero)], flat)
    assert closed == replace(flat, settled=True)
    no = replace(KNOWN, quantity=Decimal(-10))
    paid = settlement(yes_count=zero, yes_cost=zero, no_count=Decimal(10), no_cost=Decimal(3), revenue=Decimal(10))
    closed = closed_by([paid], no)
    assert closed is not None
    assert closed.realized_pnl == Decimal("8.25")
