"""An account of any size: the same rows for the same seed, figures that follow from them, and little memory."""

import tracemalloc
from collections import defaultdict
from decimal import Decimal

import pytest

from pnl_backend.simulator import Book


def rebuilt(fills, settlements):
    """Realized P&L and fees by market from fills (oldest first) and pay-outs, at average cost."""
    quantity, cost, realized, fees = (defaultdict(Decimal) for _ in range(4))
    for fill in fills:
        ticker, count = fill["ticker"], Decimal(fill["count_fp"])
        sign = 1 if fill["outcome_side"] == "yes" else -1
        price = Decimal(fill["yes_price_dollars" if sign > 0 else "no_price_dollars"])
        opposite = abs(quantity[ticker]) if quantity[ticker] * sign < 0 else Decimal(0)
        closing = min(count, opposite)
        if closing:
            share = cost[ticker] * closing / opposite
            realized[ticker] += closing * (1 - price) - share
            cost[ticker] -= share
        cost[ticker] += (count - closing) * price
        quantity[ticker] += sign * count
        fees[ticker] += Decimal(fill["fee_cost"])
    for row in settlements:
        ticker = row["ticker"]
        assert quantity[ticker] == Decimal(row["yes_count_fp"]) - Decimal(row["no_count_fp"])
        realized[ticker] += Decimal(row["revenue"]) / 100 - cost[ticker]
        quantity[ticker] = cost[ticker] = Decimal(0)
    return quantity, cost, realized, fees


async def test_every_figure_follows_from_the_rows_live_and_historical(start, clock):
    book = Book.large(clock(), settled=300, still_open=20, fills=4700)
    paid = book.account.settlements[:]
    caller = await start(book=book)
    live = await caller.pages("/portfolio/positions", "market_positions", settlement_status="all", limit=1000)
    old = await caller.pages("/historical/positions", "market_positions", limit=1000)
    unsettled = await caller.pages("/portfolio/positions", "market_positions")
    fills = await caller.pages("/historical/fills", "fills", limit=1000)
    assert len(fills) > 3000
    fills = [*await caller.pages("/portfolio/fills", "fills", limit=1000), *fills]
    assert (len(live) + len(old), len(unsettled), len(fills)) == (320, 20, 4700)
    assert len({row["fill_id"] for row in fills}) == 4700
    assert [row["ts"] for row in fills] == sorted((row["ts"] for row in fills), reverse=True)
    settlements = await caller.pages("/portfolio/settlements", "settlements", limit=1000)
    assert len(settlements) == len(live) - len(unsettled)
    known = {row["ticker"] for row in settlements}
    shape = caller.sim._kalshi.api.shapes.settlement
    settlements += [shape(row) for row in paid if row.ticker not in known]
    quantity, cost, realized, fees = rebuilt(fills[::-1], settlements)
    for row in (*live, *old):
        ticker = row["ticker"]
        assert Decimal(row["position_fp"]) == quantity[ticker]
        assert Decimal(row["market_exposure_dollars"]) == cost[ticker]
        assert Decimal(row["realized_pnl_dollars"]) == realized[ticker]
        assert Decimal(row["fees_paid_dollars"]) == fees[ticker]
    truth = caller.sim.truth().kalshi
    assert (truth.realized_pnl, truth.fees) == (sum(realized.values()), sum(fees.values()))
    assert abs(truth.reconciliation) < Decimal("0.01")
    caller.sim.step(50)
    assert abs(caller.sim.truth().kalshi.reconciliation) < Decimal("0.01")
    after = await caller.pages("/historical/positions", "market_positions", limit=1000)
    assert len(after) == len(old), "only age archives"


def test_the_same_seed_gives_the_same_rows(clock):
    one, same, other = (Book.large(clock(), settled=40, still_open=5, fills=700, seed=seed) for seed in (3, 3, 4))
    assert list(one.account.older_fills) == list(same.account.older_fills) != list(other.account.older_fills)
    assert one.account.positions == same.account.positions
    assert one.markets == same.markets
    fills = one.account.older_fills
    assert fills[-1] == fills[699] == fills[690:][-1]
    with pytest.raises(IndexError):
        fills[700]


def test_fills_take_no_memory(clock):
    def peak(fills):
        tracemalloc.start()
        book = Book.large(clock(), settled=1000, still_open=25, fills=fills)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(book.account.older_fills) == fills
        return peak

    assert peak(40_000) - peak(2_000) < 300_000


def test_more_markets_than_fills_are_refused(clock):
    with pytest.raises(ValueError, match="a fill for each"):
        Book.large(clock(), settled=10, still_open=1, fills=10)
