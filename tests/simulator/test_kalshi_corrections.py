"""Outcomes that are corrected, settlements that stay listed, and single rows that are shown wrong."""

from decimal import Decimal

import pytest

POSITIONS, SETTLEMENTS = "/portfolio/positions", "/portfolio/settlements"


@pytest.fixture
def held(caller):
    """A market in which the account holds YES and a subaccount holds NO, settled as YES."""
    ticker = next(m.ticker for m in caller.sim.trading.markets.values() if m.status == "active" and not m.frozen)
    caller.sim.kalshi.trade(ticker, "yes", Decimal(200), Decimal("0.40"))
    caller.sim.kalshi.trade(ticker, "no", Decimal("2.50"), Decimal("0.40"), subaccount=5)
    caller.sim.kalshi.determine(ticker, "yes")
    caller.sim.kalshi.settle(ticker)
    return ticker


async def realized(caller, ticker, path=POSITIONS, **query):
    asked = {"settlement_status": "settled"} if path == POSITIONS else {}
    (row,) = await caller.pages(path, "market_positions", ticker=ticker, **asked, **query)
    return Decimal(row["realized_pnl_dollars"])


async def test_a_corrected_outcome_changes_position_settlement_and_cash(caller, held):
    before, truth = await realized(caller, held), caller.sim.truth().kalshi
    (paid,) = await caller.pages(SETTLEMENTS, "settlements", ticker=held, subaccount=0)
    await caller.command(action="revise", ticker=held, result="scalar", value="0.20")
    (now,) = await caller.pages(SETTLEMENTS, "settlements", ticker=held, subaccount=0)
    assert (now["market_result"], now["value"], now["settled_time"]) == ("scalar", 20, paid["settled_time"])
    change = Decimal(now["revenue"] - paid["revenue"]) / 100
    assert change == -Decimal(paid["yes_count_fp"]) * Decimal("0.80")
    assert await realized(caller, held) == before + change
    assert caller.sim.truth().kalshi.balance == truth.balance + change
    assert caller.sim.truth().kalshi.reconciliation == truth.reconciliation
    (market,) = await caller.pages("/markets", "markets", tickers=held)
    assert (market["result"], market["settlement_value_dollars"]) == ("scalar", "0.2000")
    await caller.command(action="revise", ticker=held, result="yes")
    assert await realized(caller, held) == before


@pytest.mark.parametrize("settlements_stay", [False, True])
async def test_an_archived_outcome_is_corrected_too(caller, held, settlements_stay):
    before, in_subaccount = await realized(caller, held), await realized(caller, held, subaccount=5)
    await caller.command(action="archive", tickers=[held], settlements_stay=settlements_stay)
    rows = await caller.pages(SETTLEMENTS, "settlements", ticker=held)
    assert len(rows) == (2 if settlements_stay else 0)
    reconciliation = caller.sim.truth().kalshi.reconciliation
    await caller.command(action="revise", ticker=held, result="no")
    count = caller.sim.trading.account.archived_settlements if not settlements_stay else {}
    after = await realized(caller, held, "/historical/positions")
    assert before - after == (count[0, held].yes_count if count else Decimal(rows[-1]["yes_count_fp"]))
    assert await realized(caller, held, "/historical/positions", subaccount=5) == in_subaccount + Decimal("2.50")
    assert caller.sim.truth().kalshi.reconciliation == reconciliation
    assert caller.sim.trading.account.balance(5) == await realized(
        caller, held, "/historical/positions", subaccount=5
    ) - sum(row.fee for row in caller.sim.trading.account.fills if row.subaccount == 5) + (
        caller.sim.trading.account.funding.get(5, Decimal(0))
    )


async def test_what_is_not_settled_cannot_be_corrected(caller, held):
    open_ = next(m.ticker for m in caller.sim.trading.markets.values() if m.status == "active")
    for wrong in ({"ticker": open_, "result": "no"}, {"ticker": "NONE", "result": "no"}):
        await caller.command(400, action="revise", **wrong)
    for wrong in ({"result": "maybe"}, {"result": "scalar"}, {"result": "scalar", "value": "1.01"}):
        await caller.command(400, action="revise", ticker=held, **wrong)


async def test_a_held_view_does_not_contain_a_later_correction(caller, held):
    await caller.command(action="archive", tickers=[held])
    await caller.command(action="rest", do="hold")
    before = await realized(caller, held, "/historical/positions")
    await caller.command(action="revise", ticker=held, result="no")
    assert await realized(caller, held, "/historical/positions") == before
    await caller.command(action="rest", do="release")
    assert await realized(caller, held, "/historical/positions") < before


@pytest.mark.parametrize(
    ("path", "name", "identifier", "field", "value"),
    [
        (POSITIONS, "market_positions", "ticker", "realized_pnl_dollars", "1.2345"),
        ("/portfolio/fills", "fills", "fill_id", "count_fp", "3.00"),
        (SETTLEMENTS, "settlements", "ticker", "revenue", 77),
        ("/portfolio/deposits", "deposits", "id", "amount_cents", 77),
        ("/portfolio/withdrawals", "withdrawals", "id", "status", "failed"),
    ],
)
async def test_one_row_is_shown_wrong_or_not_at_all(caller, path, name, identifier, field, value):
    query = {"settlement_status": "settled"} if path == POSITIONS else {}
    before, truth = await caller.pages(path, name, **query), caller.sim.truth()
    chosen = before[0][identifier]
    await caller.command(action="falsify", list=name, id=chosen, fields={field: value})
    after = await caller.pages(path, name, **query)
    assert after == [{**row, field: value} if row[identifier] == chosen else row for row in before]
    await caller.command(action="falsify", list=name, id=chosen, fields=None)
    assert await caller.pages(path, name, **query) == [row for row in before if row[identifier] != chosen]
    assert caller.sim.truth() == truth
    await caller.command(action="clear_falsified")
    assert await caller.pages(path, name, **query) == before
    await caller.command(400, action="falsify", list="orders", id="x", fields=None)


async def test_a_market_opens_with_fixed_prices_and_is_quoted(caller):
    await caller.command(action="open_market", ticker="KXOWN-1", bid="0.40", ask="0.42", last="0.41")
    caller.sim.step(50)
    (row,) = await caller.pages("/markets", "markets", tickers="KXOWN-1")
    shown = [row[f"{name}_dollars"] for name in ("yes_bid", "yes_ask", "no_bid", "no_ask", "last_price")]
    assert shown == ["0.4000", "0.4200", "0.5800", "0.6000", "0.4100"]
    await caller.command(action="quote", ticker="KXOWN-1", bid="0", ask="1")
    (row,) = await caller.pages("/markets", "markets", tickers="KXOWN-1")
    assert [row[f"{name}_dollars"] for name in ("yes_bid", "no_bid", "last_price")] == ["0.0000", "0.0000", "0.4100"]
    for wrong in (
        {"bid": "0.5", "ask": "0.5"},
        {"bid": "0.5", "ask": "1.1"},
        {"bid": "0.1", "ask": "0.2", "last": "2"},
    ):
        await caller.command(400, action="quote", ticker="KXOWN-1", **wrong)
        await caller.command(400, action="open_market", ticker="KXOWN-2", **wrong)
    await caller.command(400, action="open_market", ticker="KXOWN-1", bid="0.40", ask="0.42")
    await caller.command(action="open_market", ticker="KXOWN-2", bid="0.40", ask="0.42")
