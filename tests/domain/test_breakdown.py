"""The cost breakdown with credits: values sum to the line, shares stay within 0 and 100."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.domain.attribution import OTHER
from pnl_backend.domain.breakdown import AttributedLine, attribute, cost_breakdown
from pnl_backend.domain.money import CENT, ZERO, cents

FEES, OPUS, HAIKU = "Trading Fees", "Claude Opus", "Claude Haiku"

exact = st.decimals(min_value=-(10**7), max_value=10**7, places=6, allow_nan=False, allow_infinity=False)
names = st.sampled_from(["Claude Opus", "Claude Haiku", "Claude Fable", "Claude Sonnet", OTHER])
parts = st.dictionaries(names, exact, max_size=5)


def expense(amounts: dict[str, Decimal], name: str = "API spend") -> AttributedLine:
    return AttributedLine("expense", name, cents(sum(amounts.values(), ZERO)), "Cliff", amounts, amounts)


def fees(usd: str) -> AttributedLine:
    return AttributedLine("expense", FEES, Decimal(usd), "Scalper")


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        ({OPUS: "30", HAIKU: "-20"}, {FEES: "25.0", OPUS: "75.0", HAIKU: "0"}),
        ({OPUS: "-90"}, {FEES: "100.0", OPUS: "0"}),
        ({OPUS: "10", HAIKU: "10"}, {FEES: "33.4", HAIKU: "33.3", OPUS: "33.3"}),
        ({OPUS: "-10"}, {FEES: "100.0", OPUS: "0"}),
    ],
    ids=["a credit", "credits above all expenses", "no credit", "a total of zero"],
)
def test_shares_are_of_what_was_spent_before_credits(spent, expected):
    lines = [fees("10"), expense({name: Decimal(usd) for name, usd in spent.items()})]
    shown = {entry.name: entry.percentage for entry in cost_breakdown(lines)}
    assert shown == {name: Decimal(share) for name, share in expected.items()}


def test_nothing_spent_has_no_shares():
    credit = expense({OPUS: Decimal(-5)})
    assert [(entry.value, entry.percentage) for entry in cost_breakdown([credit])] == [(Decimal(-5), ZERO)]


@given(st.lists(parts, max_size=3))
def test_values_sum_to_the_expenses_and_shares_to_a_hundred(spent):
    lines = [expense(amounts, f"line {number}") for number, amounts in enumerate(spent)]
    shown = cost_breakdown(lines)
    assert sum((entry.value for entry in shown), ZERO) == sum((line.amount for line in lines), ZERO)
    assert sum(entry.percentage for entry in shown) == (100 if any(entry.value > 0 for entry in shown) else 0)
    assert all(0 <= entry.percentage <= 100 for entry in shown)
    assert all(entry.percentage == 0 for entry in shown if entry.value <= 0)


@given(parts.filter(bool))
def test_each_part_is_within_a_cent_of_its_exact_amount(amounts):
    line = expense(amounts)
    for entry in cost_breakdown([line]):
        assert abs(entry.value - amounts[entry.name]) <= CENT
    assert sum((agent.expenses for agent in attribute([line])), ZERO) == line.amount
