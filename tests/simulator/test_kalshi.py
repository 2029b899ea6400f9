"""Kalshi in the simulator: signatures, paging, scopes, both generations, the recorded account."""

from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from pnl_backend.simulator import Book, Simulator
from tests.simulator.conftest import signed

RECORDED = Path(__file__).parents[1] / "data" / "kalshi"


def total(rows, name):
    return sum((Decimal(row[name]) for row in rows), Decimal(0))


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_signed_requests_are_answered_with_the_query_left_out_of_the_signature(caller, kind):
    given = caller.sim.credentials(kalshi=kind)
    status, body = await caller.kalshi("/portfolio/positions", given=given, settlement_status="all", limit=1000)
    assert status == 200
    assert len(body["market_positions"]) == len({row["ticker"] for row in body["market_positions"]})


async def test_a_given_key_is_accepted(start):
    given = Simulator(step_interval=None).credentials(kalshi="rsa")
    private = serialization.load_pem_private_key(given.kalshi_private_key_pem.encode(), None)
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    caller = await start(kalshi_keys={given.kalshi_key_id: pem.decode()})
    assert (await caller.kalshi("/portfolio/balance", given=given))[0] == 200


async def test_refusals_name_their_cause(caller, clock):
    url = caller.sim.kalshi_url + "/portfolio/balance"
    right = signed(caller.sim.credentials(), url, clock())
    other = signed(caller.sim.credentials(), caller.sim.kalshi_url + "/portfolio/fills", clock())
    cases = [
        ({}, "signature_is_missing_from_headers", None),
        ({**right, "KALSHI-ACCESS-KEY": "nobody"}, "authentication_error", "NOT_FOUND"),
        (other, "authentication_error", "INCORRECT_API_KEY_SIGNATURE"),
        ({**right, "KALSHI-ACCESS-SIGNATURE": "???"}, "authentication_error", "INCORRECT_API_KEY_SIGNATURE"),
        (signed(caller.sim.credentials(), url, clock() - 30), "header_timestamp_expired", None),
        (signed(caller.sim.credentials(), url, clock() + 300), "header_timestamp_expired", None),
    ]
    for headers, code, details in cases:
        async with caller.http.get(url, headers=headers) as answer:
            error = (await answer.json())["error"]
            assert (answer.status, error["code"], error.get("details")) == (401, code, details)
    for offset in (-4.9, 4.9):
        async with caller.http.get(url, headers=signed(caller.sim.credentials(), url, clock() + offset)) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "name", "params"),
    [
        ("/portfolio/positions", "market_positions", {"settlement_status": "all"}),
        ("/portfolio/fills", "fills", {}),
        ("/portfolio/settlements", "settlements", {}),
        ("/portfolio/deposits", "deposits", {}),
        ("/markets", "markets", {}),
    ],
)
async def test_pages_add_up_to_the_whole(caller, path, name, params):
    whole = await caller.pages(path, name, limit=500, **params)
    assert len(whole) > 3
    assert await caller.pages(path, name, limit=3, **params) == whole


async def test_a_fill_between_two_pages_moves_no_row(caller):
    _, first = await caller.kalshi("/portfolio/fills", limit=5)
    whole = await caller.pages("/portfolio/fills", "fills")
    caller.sim.step(100)
    _, second = await caller.kalshi("/portfolio/fills", limit=5, cursor=first["cursor"])
    assert second["fills"] == whole[5:10]


async def test_a_garbage_cursor_starts_over_and_a_limit_out_of_range_is_refused(caller):
    _, first = await caller.kalshi("/portfolio/fills", limit=3)
    assert await caller.kalshi("/portfolio/fills", limit=3, cursor="@@nonsense") == (200, first)
    for limit in ("0", "1001", "many"):
        status, body = await caller.kalshi("/portfolio/positions", limit=limit)
        assert (status, body["code"]) == (400, "invalid_parameters")


async def test_settled_markets_are_listed_only_when_asked_for(caller):
    rows = {
        status: await caller.pages("/portfolio/positions", "market_positions", settlement_status=status)
        for status in ("all", "settled", "unsettled")
    }
    default = await caller.pages("/portfolio/positions", "market_positions")
    assert default == rows["unsettled"]
    assert rows["settled"]
    assert all(Decimal(row["position_fp"]) == 0 for row in rows["settled"])
    assert len(rows["all"]) == len(rows["settled"]) + len(rows["unsettled"])
    truth = caller.sim.truth().kalshi
    assert total(rows["all"], "realized_pnl_dollars") == truth.realized_pnl
    assert total(default, "realized_pnl_dollars") != truth.realized_pnl
    held = await caller.pages("/portfolio/positions", "market_positions", count_filter="position")
    assert len(held) == truth.positions


async def test_positions_are_of_the_primary_account_but_fills_of_all(caller):
    every = await caller.pages("/portfolio/fills", "fills")
    primary = await caller.pages("/portfolio/fills", "fills", subaccount=0)
    assert {row["subaccount_number"] for row in every} == {0, 1}
    assert {row["subaccount_number"] for row in primary} == {0}
    positions = await caller.pages("/portfolio/positions", "market_positions", settlement_status="all")
    assert total(primary, "fee_cost") == total(positions, "fees_paid_dollars") == caller.sim.truth().kalshi.fees
    settlements = await caller.pages("/portfolio/settlements", "settlements")
    assert len(settlements) > len(await caller.pages("/portfolio/settlements", "settlements", subaccount=0))
    _, other = await caller.kalshi("/portfolio/balance", subaccount=1)
    _, mine = await caller.kalshi("/portfolio/balance")
    assert other["balance"] != mine["balance"]


async def test_fills_are_filtered_by_ticker_order_and_time(caller):
    whole = await caller.pages("/portfolio/fills", "fills")
    one = whole[7]
    assert await caller.pages("/portfolio/fills", "fills", order_id=one["order_id"]) == [one]
    of_ticker = await caller.pages("/portfolio/fills", "fills", ticker=one["ticker"])
    assert of_ticker == [row for row in whole if row["ticker"] == one["ticker"]]
    between = await caller.pages("/portfolio/fills", "fills", min_ts=whole[9]["ts"], max_ts=whole[4]["ts"])
    assert between == [row for row in whole if whole[9]["ts"] <= row["ts"] <= whole[4]["ts"]]


async def test_the_account_reconciles_and_portfolio_value_excludes_cash(caller):
    for _ in range(4):
        truth = caller.sim.truth().kalshi
        assert abs(truth.reconciliation) < Decimal("0.01")
        _, body = await caller.kalshi("/portfolio/balance")
        assert Decimal(body["balance_dollars"]) == truth.balance
        assert body["balance"] == int(truth.balance * 100)
        assert Decimal(body["portfolio_value"]) / 100 == truth.portfolio_value
        caller.sim.step(700)


async def test_marks_fall_back_where_there_is_no_bid(caller):
    marks = caller.sim.truth().kalshi.marks
    assert set(marks.values()) == {"bid", "last", "cost", "settlement"}
    tickers = ",".join(marks)
    markets = await caller.pages("/markets", "markets", tickers=tickers)
    assert {row["ticker"] for row in markets} == set(marks)
    for row in markets:
        if row["status"] == "active":
            assert Decimal(row["no_bid_dollars"]) == 1 - Decimal(row["yes_ask_dollars"])
    finalized = next(row for row in markets if row["status"] == "finalized")
    assert marks[finalized["ticker"]] == "settlement"
    assert Decimal(finalized["settlement_value_dollars"]) == 1


async def test_markets_and_exchange_status_need_no_signature(caller):
    async with caller.http.get(caller.sim.kalshi_url + "/exchange/status") as answer:
        assert (await answer.json())["trading_active"] is True
    async with caller.http.get(caller.sim.kalshi_url + "/markets?status=settled&limit=1000") as answer:
        statuses = {row["status"] for row in (await answer.json())["markets"]}
        assert statuses == {"finalized"}


async def test_more_requests_than_the_bucket_holds_are_refused(start):
    caller = await start(kalshi_rate=30.0)
    answers = [await caller.kalshi("/portfolio/balance") for _ in range(8)]
    assert (429, {"error": "too many requests"}) in answers
    assert answers[0][0] == 200


@pytest.mark.parametrize("generation", ["strings", "both", "cents"])
async def test_the_recorded_account_is_served_in_each_generation(start, generation):
    caller = await start(book=Book.from_recorded(RECORDED), generation=generation)
    _, balance = await caller.kalshi("/portfolio/balance")
    rows = await caller.pages("/portfolio/positions", "market_positions", settlement_status="all", limit=10)
    fills = await caller.pages("/portfolio/fills", "fills")
    assert balance["balance"] == 71006
    assert len(rows) == 41
    assert len(fills) == 100
    if generation == "cents":
        assert "balance_dollars" not in balance
        assert not [name for row in rows for name in row if name.endswith(("_dollars", "_fp"))]
        assert sum(1 for row in rows if row["position"]) == 18
        assert sum(row["realized_pnl"] for row in rows) == 40315
        assert sum(row["fees_paid"] for row in rows) == 2673
    else:
        assert Decimal(balance["balance_dollars"]) == Decimal("710.06")
        assert sum(1 for row in rows if Decimal(row["position_fp"])) == 18
        assert total(rows, "realized_pnl_dollars") == Decimal("403.15")
        assert total(rows, "fees_paid_dollars") == Decimal("26.73")
        assert ("realized_pnl" in rows[0]) == (generation == "both")
    truth = caller.sim.truth().kalshi
    shown = (truth.balance, truth.positions, truth.realized_pnl, truth.fees)
    assert shown == (Decimal("710.06"), 18, Decimal("403.15"), Decimal("26.73"))
    assert abs(truth.reconciliation) < Decimal("0.01")


def worth(row, market):
    """A position's mark by the rules for a bid, a last price, its cost and a settlement, from the JSON alone."""
    strings = "position_fp" in row

    def read(source, name, text):
        return Decimal(source[text]) if strings else Decimal(source[name]) / 100

    quantity = Decimal(row["position_fp"] if strings else row["position"])
    cost = read(row, "market_exposure", "market_exposure_dollars")
    if market["status"] == "finalized":
        value = read(market, "settlement_value", "settlement_value_dollars")
        return cost, abs(quantity) * (value if quantity > 0 else 1 - value)
    side = "yes" if quantity > 0 else "no"
    bid = read(market, f"{side}_bid", f"{side}_bid_dollars")
    last = read(market, "last_price", "last_price_dollars")
    if not bid and last:
        bid = last if quantity > 0 else 1 - last
    return cost, abs(quantity) * bid if bid else cost


@pytest.mark.parametrize("generation", ["strings", "both", "cents"])
async def test_the_truth_equals_the_served_fields(start, generation):
    caller = await start(generation=generation)
    for _ in range(3):
        rows = await caller.pages("/portfolio/positions", "market_positions", count_filter="position")
        rows = [row for row in rows if Decimal(str(row.get("position_fp", row.get("position"))))]
        tickers = ",".join(row["ticker"] for row in rows)
        markets = {row["ticker"]: row for row in await caller.pages("/markets", "markets", tickers=tickers)}
        marked = [worth(row, markets[row["ticker"]]) for row in rows]
        truth = caller.sim.truth().kalshi
        assert truth.unrealized_pnl == sum(value - cost for cost, value in marked)
        assert truth.positions == len(rows)
        caller.sim.step(2500)


async def test_what_ages_out_leaves_the_lists_and_stays_in_the_truth(caller):
    before = caller.sim.truth().kalshi
    assert caller.sim.kalshi.age_out(keep=2)
    after = caller.sim.truth().kalshi
    assert (after.realized_pnl, after.fees, after.balance) == (before.realized_pnl, before.fees, before.balance)
    rows = await caller.pages("/portfolio/positions", "market_positions", settlement_status="settled")
    assert len(rows) == 2
    shown = await caller.pages("/portfolio/positions", "market_positions", settlement_status="all")
    assert total(shown, "realized_pnl_dollars") + after.aged_realized_pnl == after.realized_pnl


async def test_a_book_of_any_size_is_served_whole(start, clock):
    caller = await start(book=Book.sized(1234, clock()))
    rows = await caller.pages("/portfolio/positions", "market_positions", limit=1000)
    truth = caller.sim.truth().kalshi
    assert len(rows) == truth.positions == 1234
    assert set(truth.marks.values()) == {"bid"}
    unrealized = truth.portfolio_value - total(rows, "market_exposure_dollars")
    assert abs(truth.unrealized_pnl - unrealized) < Decimal("0.01")
    assert abs(truth.reconciliation) < Decimal("0.01")
    assert {Decimal(row["position_fp"]) > 0 for row in rows} == {True, False}
