"""What the fetcher makes of each field: marks, and fields that are missing, wrong or contradict each other."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pnl_backend.errors import InvalidResponse
from tests.sources.kalshi.answers import BALANCE, MARKET, POSITION


@pytest.mark.parametrize(
    ("position", "market", "mark", "source"),
    [
        ({}, {}, "0.40", "bid"),
        ({"position_fp": "-10.00"}, {}, "0.58", "bid"),
        ({"position_fp": "-0.50"}, {"no_bid_dollars": None}, "0.58", "bid"),
        ({}, {"yes_bid_dollars": "0.0000"}, "0.41", "last"),
        ({"position_fp": "-10.00"}, {"no_bid_dollars": "0.0000"}, "0.59", "last"),
        ({"position_fp": "-10.00"}, {"no_bid_dollars": None, "yes_ask_dollars": "1.0000"}, "0.59", "last"),
        ({}, {"yes_bid_dollars": "0.0000", "last_price_dollars": "0.0000"}, None, "cost"),
        ({}, {"ticker": "ANOTHER"}, None, "cost"),
        ({}, {"status": "finalized", "settlement_value_dollars": "1.0000"}, "1", "settlement"),
        ({}, {"status": "finalized", "settlement_value_dollars": "0.0000"}, "0", "settlement"),
        (
            {"position_fp": "-3.00"},
            {"status": "finalized", "settlement_value_dollars": "0.2500"},
            "0.75",
            "settlement",
        ),
        ({}, {"status": "finalized", "settlement_value_dollars": None, "result": "yes"}, "1", "settlement"),
        ({}, {"status": "determined", "result": "yes", "settlement_value_dollars": "1.0000"}, "1", "settlement"),
        ({}, {"status": "determined", "result": "no"}, "0", "settlement"),
        (
            {"position_fp": "-3.00"},
            {"status": "determined", "result": "no", "settlement_value_dollars": "0.0000"},
            "1",
            "settlement",
        ),
        (
            {"position_fp": "-3.00"},
            {"status": "determined", "result": "scalar", "settlement_value_dollars": "0.2500"},
            "0.75",
            "settlement",
        ),
        ({}, {"status": "amended", "result": "scalar", "settlement_value_dollars": "0.3000"}, "0.30", "settlement"),
        ({}, {"status": "determined", "result": "scalar"}, "0.40", "bid"),
        ({}, {"status": "disputed", "result": "yes", "settlement_value_dollars": "1.0000"}, "0.40", "bid"),
    ],
)
async def test_marks(fetch, position, market, mark, source):
    value = await fetch(positions=[{**POSITION, **position}], markets=[{**MARKET, **market}])
    (read,) = value.positions
    assert read.mark == (None if mark is None else Decimal(mark))
    assert read.mark_source == source
    if source == "cost":
        assert read.unrealized_pnl == 0


@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        ("positions", "position_fp", None),
        ("positions", "position_fp", 10),
        ("positions", "position_fp", "NaN"),
        ("positions", "position_fp", "Infinity"),
        ("positions", "position_fp", "1_000"),
        ("positions", "position_fp", " 1"),
        ("positions", "position_fp", ""),
        ("positions", "market_exposure_dollars", None),
        ("positions", "market_exposure_dollars", {"unexpected": True}),
        ("positions", "market_exposure_dollars", "1e13"),
        ("positions", "realized_pnl_dollars", True),
        ("positions", "realized_pnl_dollars", "nan"),
        ("positions", "fees_paid_dollars", []),
        ("positions", "ticker", None),
        ("positions", "ticker", 7),
        ("markets", "yes_bid_dollars", "1.2000"),
        ("markets", "yes_bid_dollars", "-0.1000"),
        ("markets", "yes_bid_dollars", 0.4),
        ("markets", "ticker", ""),
        ("markets", "status", 3),
        ("balance", "balance_dollars", "seven"),
        ("balance", "portfolio_value", "400"),
        ("balance", "portfolio_value", 400.5),
        ("balance", "portfolio_value", 10**15),
    ],
)
async def test_a_bad_field_is_named(fetch, where, field, value):
    row = {"positions": POSITION, "markets": MARKET, "balance": BALANCE}[where]
    changed = {**row, field: value}
    with pytest.raises(InvalidResponse, match=field):
        await fetch(**{where: changed if where == "balance" else [changed]})


async def test_a_market_without_any_bid_field_is_not_taken_for_an_empty_one(fetch):
    market = {key: value for key, value in MARKET.items() if key not in {"yes_bid_dollars", "no_ask_dollars"}}
    with pytest.raises(InvalidResponse, match="yes_bid_dollars is missing"):
        await fetch(markets=[market])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"yes_bid_dollars": "0.0000", "last_price_dollars": None}, "last_price_dollars is missing"),
        (
            {"status": "finalized", "settlement_value_dollars": None, "result": ""},
            "settlement_value_dollars is missing",
        ),
        ({"ticker": "x" * 501}, "ticker is longer than 500 characters"),
    ],
)
async def test_a_market_that_leaves_the_mark_open_is_refused(fetch, changes, said):
    with pytest.raises(InvalidResponse, match=said):
        await fetch(markets=[{**MARKET, **changes}])


async def test_a_balance_without_either_field(fetch):
    with pytest.raises(InvalidResponse, match="balance_dollars is missing"):
        await fetch(balance={"portfolio_value": 1})


async def test_the_string_has_precedence_over_the_integer_field(fetch):
    twins = {"position": 999, "market_exposure": 1, "realized_pnl": 1, "fees_paid": "rubbish"}
    value = await fetch(positions=[{**POSITION, **twins}], balance={**BALANCE, "balance": 1})
    (read,) = value.positions
    assert (read.quantity, read.cost, read.fees) == (Decimal(10), Decimal(3), Decimal("0.07"))
    assert value.balance == Decimal("710.06")


async def test_the_same_row_on_two_pages_counts_once(fetch):
    value = await fetch(
        pages=[
            {"market_positions": [POSITION], "cursor": "a"},
            {"market_positions": [POSITION, {**POSITION, "ticker": "M-2"}], "cursor": ""},
        ]
    )
    assert [p.ticker for p in value.positions] == ["M-1", "M-2"]


async def test_two_rows_that_contradict_each_other_are_refused(fetch):
    with pytest.raises(InvalidResponse, match=r"M-1.*twice"):
        await fetch(positions=[POSITION, {**POSITION, "fees_paid_dollars": "9.0000"}])
