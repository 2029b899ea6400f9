"""Properties of the parsers for any answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.domain.readings import Position
from pnl_backend.errors import InvalidResponse
from pnl_backend.sources.anthropic.costs import read_analytics
from pnl_backend.sources.fields import dollars, money, whole
from pnl_backend.sources.kalshi.positions import mark_positions, read_positions
from pnl_backend.sources.revenue.fetcher import read_revenue

Result = TypeVar("Result")

CENTS = st.integers(-10_000_000, 10_000_000)
PRICE = st.integers(0, 100)

POSITION_FIELDS = ("market_exposure", "realized_pnl", "fees_paid")
POSITION_NUMBERS = ("position_fp", *(f"{name}_dollars" for name in POSITION_FIELDS))
MARKET_FIELDS = ("yes_bid", "yes_ask", "no_bid", "no_ask", "last_price")

# What JSON can hold, as the parser gives it: fractions are Decimals, and NaN never gets this far.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["NaN", "Infinity", "-inf", "1_000", " 1", "1,5", "0x10", "\uff11\uff12", "1e400", "--1", "1.2.3", ""]
    )
)
GARBAGE = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))

PLAIN = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def attempt(reader: Callable[[], Result]) -> tuple[Result | None, str | None]:
    """What was read, or the refusal's words."""
    try:
        return reader(), None
    except InvalidResponse as error:
        return None, str(error)


def text(cents: int) -> str:
    return f"{Decimal(cents) / 100:.4f}"


@st.composite
def accounts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Markets by ticker: quantities, money and prices in whole cents."""
    return [
        {
            "ticker": f"M-{index}",
            "position": draw(st.integers(-1000, 1000)),
            **{name: draw(CENTS) for name in POSITION_FIELDS},
            **{name: draw(PRICE) for name in MARKET_FIELDS},
        }
        for index in range(draw(st.integers(0, 8)))
    ]


def position_row(held: dict[str, Any], *, strings: bool, cents: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"ticker": held["ticker"]}
    if strings:
        row["position_fp"] = f"{held['position']}.00"
        row |= {f"{name}_dollars": text(held[name]) for name in POSITION_FIELDS}
    if cents:
        row |= {name: held[name] for name in ("position", *POSITION_FIELDS)}
    return row


def market_row(held: dict[str, Any], *, strings: bool, cents: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"ticker": held["ticker"], "status": "active"}
    if strings:
        row |= {f"{name}_dollars": text(held[name]) for name in MARKET_FIELDS}
    if cents:
        row |= {name: held[name] for name in MARKET_FIELDS}
    return row


def read(account: list[dict[str, Any]], *, strings: bool, cents: bool) -> tuple[Position, ...]:
    positions = read_positions((position_row(held, strings=strings, cents=cents), "p") for held in account)
    markets = [(market_row(held, strings=strings, cents=cents), "m") for held in account]
    return mark_positions(positions.values(), markets)


@given(accounts())
def test_both_generations_agree(account):
    both = read(account, strings=True, cents=True)
    assert both == read(account, strings=True, cents=False) == read(account, strings=False, cents=True)


@given(accounts(), st.randoms(use_true_random=False))
def test_permuting_positions_and_markets_changes_nothing(account, random):
    shuffled = random.sample(account, len(account))
    key = lambda position: position.ticker  # noqa: E731
    assert sorted(read(shuffled, strings=True, cents=False), key=key) == sorted(
        read(account, strings=True, cents=False), key=key
    )


@given(accounts())
def test_a_position_is_worth_its_bid_else_its_last_price_else_its_cost(account):
    for held, position in zip(account, read(account, strings=True, cents=False), strict=True):
        side = "yes" if held["position"] > 0 else "no"
        last = held["last_price"] if side == "yes" else 100 - held["last_price"]
        price = held[f"{side}_bid"] or (last if held["last_price"] else None)
        if held["position"] == 0:
            assert position.unrealized_pnl == 0
        elif price is None:
            assert (position.unrealized_pnl, position.mark_source) == (0, "cost")
        else:
            worth = abs(held["position"]) * price - held["market_exposure"]
            assert position.unrealized_pnl == Decimal(worth) / 100


@given(
    accounts().filter(bool), st.sampled_from(["position_fp", *(f"{name}_dollars" for name in POSITION_FIELDS)]), GARBAGE
)
def test_garbage_in_a_position_is_refused_by_name_or_was_the_number(account, field, garbage):
    row = {**position_row(account[0], strings=True, cents=False), field: garbage}
    positions, refusal = attempt(lambda: read_positions([(row, "p")]))
    if positions is None:
        assert f"p.{field}" in refusal
    else:
        (position,) = positions.values()
        # Only a plain decimal string passes, and then as exactly that number.
        assert isinstance(garbage, str)
        assert PLAIN.fullmatch(garbage)
        read_as = (position.quantity, position.cost, position.realized_pnl, position.fees)
        assert abs(read_as[POSITION_NUMBERS.index(field)] - Decimal(garbage)) < Decimal("1e-12")


@given(GARBAGE)
def test_garbage_for_a_revenue_amount_is_refused_by_name_or_was_the_number(garbage):
    value, refusal = attempt(lambda: read_revenue({"invoiced": garbage, "collected": 1}))
    if value is None:
        assert "invoiced" in refusal
    else:
        assert not isinstance(garbage, bool)
        assert isinstance(garbage, int | Decimal) or PLAIN.fullmatch(garbage)
        assert 0 <= value.invoiced <= 10**12
        assert abs(value.invoiced - Decimal(garbage)) < Decimal("1e-12")


@given(GARBAGE)
def test_garbage_for_a_whole_answer_is_refused_or_is_one_of_the_shapes(garbage):
    value, refusal = attempt(lambda: read_revenue(garbage))
    if value is None:
        assert "John's revenue" in refusal
    else:
        assert garbage in ([], {"deals": []})
        assert value.invoiced == value.collected == 0


@given(st.sampled_from(["starting_at", "group", "cost"]), GARBAGE)
def test_garbage_in_a_cost_row_is_refused_by_name(field, garbage):
    row = {
        "starting_at": "2026-11-21T03:00:00Z",
        "group": {"model": None, "workspace_id": None},
        "cost": {"amount": "1", "currency": "USD"},
        field: garbage,
    }
    day = date(2026, 11, 21)
    costs, refusal = attempt(lambda: read_analytics([(row, "data[0]")], day, day))
    if costs is None:
        assert f"data[0].{field}" in refusal
    else:
        # A group without known names is a row without a model: the amount is right all the same.
        assert field == "group"
        assert sum(costs.values()) == Decimal("0.01")


@given(CENTS)
def test_cents_are_a_hundredth(cents):
    assert dollars({"a": cents}, "a", "x") == Decimal(cents) / 100
    assert dollars({"a_dollars": text(cents), "a": 7}, "a", "x") == Decimal(cents) / 100


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=6))
def test_money_is_exact_from_numbers_and_strings(amount):
    assert money({"a": amount}, "a", "x") == money({"a": f"{amount:f}"}, "a", "x") == amount


@given(GARBAGE)
def test_an_integer_is_an_integer(garbage):
    value, refusal = attempt(lambda: whole({"a": garbage}, "a", "x"))
    if value is None:
        assert "x.a" in refusal
    else:
        assert value == garbage
        assert type(garbage) is int
