"""Realized P&L from fills and settlements: computed by hand, and by another calculation over random histories."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.domain.ledger_facts import Fill, Settlement
from pnl_backend.domain.verification import Derived, MarketFigures, derive, difference

D = Decimal


def fill(at: int, side: Any, count: str, yes_price: str, fee: str = "0") -> Fill:
    return Fill(f"f-{at}-{side}", "o", "M", side, D(count), D(yes_price), D(fee), is_taker=True, at=at)


def paid(revenue: str, *, yes: str = "0", no: str = "0", result: str = "yes") -> Settlement:
    return Settlement("M", result, D(yes), D(0), D(no), D(0), D(revenue), None, D(0), at=10**6)


def figures(derived: Derived) -> MarketFigures:
    return MarketFigures(derived.realized, derived.fees, derived.quantity, derived.cost)


@pytest.mark.parametrize(
    ("fills", "settled", "expected"),
    [
        ([], [], ("0", "0", "0", "0")),
        ([fill(1, "yes", "10", "0.40", "0.17")], [], ("0", "0.17", "10", "4")),
        # Average cost 0.50; 5 sold at 0.70 (bought as NO at 0.30): 5 x 0.70 - 2.50.
        (
            [fill(1, "yes", "10", "0.40"), fill(2, "yes", "10", "0.60"), fill(3, "no", "5", "0.70")],
            [],
            ("1", "0", "15", "7.5"),
        ),
        # 10 YES at 0.40; 15 NO at 0.45 close them (10 x 0.55 - 4) and open 5 NO that cost 0.45 each.
        ([fill(1, "yes", "10", "0.40"), fill(2, "no", "15", "0.55")], [], ("1.5", "0", "-5", "2.25")),
        # 4 NO at 0.30 (YES at 0.70), paid a dollar each.
        ([fill(1, "no", "4", "0.70")], [paid("4", no="4", result="no")], ("2.8", "0", "0", "0")),
        ([fill(1, "no", "4", "0.70")], [paid("0", no="4")], ("-1.2", "0", "0", "0")),
        # A third of a position: 0.333333 of the cost, to six decimals.
        ([fill(1, "yes", "3", "0.11"), fill(2, "no", "1", "0.20")], [], ("0.09", "0", "2", "0.22")),
        ([fill(1, "yes", "0.03", "0.4100")], [paid("0.01", yes="0.03", result="scalar")], ("-0.0023", "0", "0", "0")),
    ],
)
def test_figures_that_were_computed_by_hand(
    fills: list[Fill], settled: list[Settlement], expected: tuple[str, ...]
) -> None:
    derived = derive(fills, settled)
    assert figures(derived) == MarketFigures(*map(D, expected))
    assert difference(derived, MarketFigures(*map(D, expected))) == 0


counts = st.integers(1, 5000).map(lambda hundredths: D(hundredths) / 100)
prices = st.integers(1, 99).map(lambda cents: D(cents) / 100)
fees = st.integers(0, 20000).map(lambda parts: D(parts) / 10000)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Fill], list[Settlement]]:
    """Fills at different times, and perhaps the pay-out of what is left."""
    sides = draw(st.lists(st.sampled_from(["yes", "no"]), min_size=1, max_size=12))
    fills = [
        Fill(f"f-{n}", "o", "M", side, draw(counts), draw(prices), draw(fees), is_taker=True, at=n)  # type: ignore[arg-type]
        for n, side in enumerate(sides)
    ]
    left = sum((one.position_change for one in fills), D(0))
    if not draw(st.booleans()):
        return fills, []
    won = draw(st.sampled_from(["yes", "no"]))
    yes, no = max(left, D(0)), max(-left, D(0))
    return fills, [paid(str(yes if won == "yes" else no), yes=str(yes), no=str(no), result=won)]


def independent(fills: list[Fill], settled: list[Settlement]) -> tuple[Fraction, Fraction]:
    """Realized P&L and open cost in exact fractions: a list of lots of one price each, closed in proportion."""
    held: dict[str, list[list[Fraction]]] = {"yes": [], "no": []}
    realized = Fraction(0)
    for one in sorted(fills, key=lambda one: one.at):
        other = "no" if one.side == "yes" else "yes"
        lots, count = held[other], Fraction(one.count)
        total = sum((lot[0] for lot in lots), Fraction(0))
        closing = min(count, total)
        if closing:
            for lot in lots:
                part = lot[0] * closing / total
                realized += part * (1 - Fraction(one.price) - lot[1])
                lot[0] -= part
        if count > closing:
            held[one.side].append([count - closing, Fraction(one.price)])
    cost = sum((lot[0] * lot[1] for lots in held.values() for lot in lots), Fraction(0))
    for one in settled:
        realized, cost = realized + Fraction(one.revenue) - cost, Fraction(0)
    return realized, cost


@given(histories(), st.randoms(use_true_random=False))
def test_random_histories_agree_with_another_calculation(
    history: tuple[list[Fill], list[Settlement]], rng: Any
) -> None:
    fills, settled = history
    realized, cost = independent(fills, settled)
    shuffled = rng.sample(fills, len(fills))
    derived = derive(shuffled, settled)
    assert abs(Fraction(derived.realized) - realized) <= Fraction(len(fills), 10**6)
    assert abs(Fraction(derived.cost) - cost) <= Fraction(len(fills), 10**6)
    assert derived.realized - derived.cost == derived.cash
    assert derived.fees == sum(one.fee for one in fills)
    assert difference(derived, figures(derived)) == 0


@given(histories(), st.data())
def test_any_one_row_that_is_wrong_makes_a_difference(
    history: tuple[list[Fill], list[Settlement]], data: st.DataObject
) -> None:
    fills, settled = history
    reported = figures(derive(fills, settled))
    parts = ["count", "side", "fee", "missing", "realized", "fees", "quantity", "cost", "price"]
    what = data.draw(st.sampled_from(parts + ["revenue"] * bool(settled)))
    index = data.draw(st.integers(0, len(fills) - 1))
    one, cent = fills[index], D("0.01")
    broken = list(fills)
    if what == "count":
        broken[index] = replace(one, count=one.count + 1)
    elif what == "side":
        broken[index] = replace(one, side="no" if one.side == "yes" else "yes")
    elif what == "price":
        broken[index] = replace(one, yes_price=one.yes_price + cent, count=one.count)
        # A hundredth of a contract at a cent more is a hundredth of a cent, which is rounding.
        if one.count <= D("0.05"):
            return
    elif what == "fee":
        broken[index] = replace(one, fee=one.fee + cent)
    elif what == "missing":
        del broken[index]
    elif what == "revenue":
        settled = [replace(settled[0], revenue=settled[0].revenue + cent)]
    else:
        reported = replace(reported, **{what: getattr(reported, what) + cent})
    assert difference(derive(broken, settled), reported) > 0


def test_fills_of_both_sides_in_one_millisecond_are_verified_by_their_cash() -> None:
    history = [fill(1, "yes", "10", "0.40"), fill(2, "no", "4", "0.50"), fill(2, "yes", "6", "0.70")]
    one, other = derive(history), derive([history[0], history[2], history[1]])
    assert not one.ordered
    first = derive([history[0], history[1], replace(history[2], at=3)])
    second = derive([history[0], history[2], replace(history[1], at=3)])
    assert first.realized != second.realized
    for reported in (figures(first), figures(second)):
        assert difference(one, reported) == difference(other, reported) == 0
        assert difference(one, replace(reported, realized=reported.realized + D("0.01"))) > 0
    wrong = [replace(history[0], yes_price=D("0.41")), *history[1:]]
    assert difference(derive(wrong), figures(first)) > 0
