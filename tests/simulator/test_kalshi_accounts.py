"""Several accounts, keys, subaccounts, transfers and adjustments in the simulator."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pnl_backend.simulator import Book, Fault


async def balance(caller, **params):
    _, body = await caller.kalshi("/portfolio/balance", **params)
    return Decimal(body["balance_dollars"])


async def test_a_key_belongs_to_one_account_of_the_host(caller, clock):
    mine = caller.sim.kalshi.user_ids[0]
    book = Book.sized(7, clock())
    other = caller.sim.kalshi.add_account(book)
    assert other != mine
    given = caller.sim.credentials(user_id=other)
    positions = await caller.pages("/portfolio/positions", "market_positions", given=given)
    assert {row["ticker"] for row in positions} == set(book.markets)
    assert not {row["ticker"] for row in await caller.pages("/portfolio/positions", "market_positions")} & set(
        book.markets
    )
    assert await balance(caller, given=given) == caller.sim.truth(other).kalshi.balance
    assert await balance(caller) == caller.sim.truth().kalshi.balance != caller.sim.truth(other).kalshi.balance
    priced = await caller.pages("/markets", "markets", tickers=",".join(book.markets))
    assert len(priced) == 7
    with pytest.raises(ValueError, match="no account"):
        caller.sim.truth("nobody")


async def test_a_rotated_key_reads_the_same_account_and_a_revoked_one_nothing(caller):
    old = caller.sim.credentials()
    made = await caller.command(action="new_key")
    new = replace(old, kalshi_key_id=made["key_id"], kalshi_private_key_pem=made["private_key_pem"])
    assert made["user_id"] == caller.sim.kalshi.user_ids[0]
    assert await balance(caller, given=new) == await balance(caller, given=old)
    await caller.command(action="revoke_key", key_id=old.kalshi_key_id)
    status, body = await caller.kalshi("/portfolio/balance", given=old)
    assert (status, body["error"]["details"]) == (401, "NOT_FOUND")
    assert (await caller.kalshi("/portfolio/balance", given=new))[0] == 200
    await caller.command(400, action="revoke_key", key_id=old.kalshi_key_id)


async def test_an_outcome_pays_every_account_that_holds_the_market(caller):
    opened = await caller.command(action="add_account")
    ticker = next(m.ticker for m in caller.sim.trading.markets.values() if m.status == "active" and not m.frozen)
    trade = {"action": "trade", "ticker": ticker, "user_id": opened["user_id"]}
    await caller.command(**trade, outcome="yes", count="2.5", yes_price="0.40", is_taker=False)
    await caller.command(400, **trade, outcome="maybe", count="1", yes_price="0.40")
    await caller.command(400, **trade, outcome="yes", count="1", yes_price="1.40")
    given = caller.sim.credentials(user_id=opened["user_id"])
    assert await balance(caller, given=given) == Decimal("-1.00")
    await caller.command(action="determine", ticker=ticker, result="yes")
    await caller.command(400, action="determine", ticker=ticker, result="no")
    assert await balance(caller, given=given) == Decimal("-1.00"), "determined, and not paid out"
    assert caller.sim.truth(opened["user_id"]).kalshi.portfolio_value == Decimal("2.50")
    await caller.command(action="settle", ticker=ticker)
    assert await balance(caller, given=given) == Decimal("1.50")
    (row,) = await caller.pages("/portfolio/settlements", "settlements", given=given)
    assert (row["ticker"], row["market_result"], row["revenue"], row["exchange_index"]) == (ticker, "yes", 250, 0)
    await caller.command(400, action="trade", ticker=ticker, outcome="yes", count="1", yes_price="0.40")
    for account in (None, opened["user_id"]):
        assert caller.sim.truth(account).kalshi.reconciliation == pytest.approx(0, abs=Decimal("0.01"))


async def test_cash_moves_between_subaccounts_and_is_no_deposit(caller):
    before = caller.sim.truth().kalshi
    await caller.command(action="move_cash", **{"from": 0, "to": 63}, amount_cents=2550)
    await caller.command(400, action="move_cash", **{"from": 63, "to": 0}, amount_cents=2551)
    await caller.command(400, action="move_cash", **{"from": 0, "to": 64}, amount_cents=1)
    await caller.command(action="move_cash", **{"from": 63, "to": 1}, amount_cents=50)
    _, body = await caller.kalshi("/portfolio/subaccounts/balances")
    held = {row["subaccount_number"]: Decimal(row["balance"]) for row in body["subaccount_balances"]}
    assert held[63] == Decimal(25) == await balance(caller, subaccount=63)
    assert held[0] == before.balance - Decimal("25.50") == await balance(caller)
    assert set(held) == {0, 1, 63}
    moves = await caller.pages("/portfolio/subaccounts/transfers", "transfers", limit=1)
    assert [(row["from_subaccount"], row["to_subaccount"], row["amount_cents"]) for row in moves] == [
        (63, 1, 50),
        (0, 63, 2550),
    ]
    assert caller.sim.truth().kalshi.net_deposits == before.net_deposits
    assert (await caller.kalshi("/portfolio/balance", subaccount=64))[0] == 400


async def test_a_deposit_goes_from_pending_to_applied_to_returned(caller):
    before = caller.sim.truth().kalshi
    seen = []
    for status in ("pending", "applied", "returned", "failed"):
        await caller.command(action="transfer", kind="deposit", id="late", amount_cents=12_345, status=status)
        rows = await caller.pages("/portfolio/deposits", "deposits")
        (row,) = [row for row in rows if row["id"] == "late"]
        assert (row["status"], row["finalized_ts"] is None) == (status, status == "pending")
        seen.append(await balance(caller) - before.balance)
        assert abs(caller.sim.truth().kalshi.reconciliation) < Decimal("0.01")
    assert seen == [Decimal(0), Decimal("123.45"), Decimal(0), Decimal(0)]
    await caller.command(400, action="transfer", kind="deposit", id="x", amount_cents=1, status="lost")


async def test_interest_is_in_the_cash_and_in_no_list(caller):
    before = caller.sim.truth().kalshi
    rows = await caller.pages("/portfolio/deposits", "deposits")
    await caller.command(action="adjust", amount="1.25")
    assert await balance(caller) == before.balance + Decimal("1.25")
    assert await caller.pages("/portfolio/deposits", "deposits") == rows
    truth = caller.sim.truth().kalshi
    assert truth.adjustments == Decimal("1.25")
    assert truth.reconciliation == before.reconciliation + Decimal("1.25")


async def test_optional_fields_can_be_left_out_and_unknown_ones_added(caller):
    rows = await caller.pages("/portfolio/fills", "fills")
    caller.sim.set_fault("kalshi", Fault.missing_fields(["created_time", "ts"], path="/portfolio/fills"))
    timeless = await caller.pages("/portfolio/fills", "fills")
    assert timeless == [{k: v for k, v in row.items() if k not in ("created_time", "ts")} for row in rows]
    caller.sim.clear_faults()
    await caller.command(upstream="kalshi", fault="extra_fields", path="/portfolio/fills")
    more = await caller.pages("/portfolio/fills", "fills")
    assert len(more) == len(rows)
    for row, known in zip(more, rows, strict=True):
        assert known.items() <= row.items()
        assert set(row) - set(known)
