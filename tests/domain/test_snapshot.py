"""The invariants of the accounting, for any readings."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, to_builtins

from pnl_backend.domain.attribution import AgentRules, model_family
from pnl_backend.domain.delta import diff, sums
from pnl_backend.domain.money import CENT, apportion, cents, decimal_text, number
from pnl_backend.domain.readings import (
    AnthropicSpend,
    CostRow,
    KalshiPortfolio,
    Position,
    Reading,
    Revenue,
)
from pnl_backend.domain.snapshot import gross_margin, trend
from pnl_backend.wire.ledger_feed import ledger
from pnl_backend.wire.views import breakdown_json, from_record, period_view, snapshot_view, to_record
from tests.domain.strategies import NOW, portfolios, readings, usd
from tests.support import snapshots
from tests.support.snapshots import computed

RULES = AgentRules(workspaces={"wrkspc_1": "Scalper", "wrkspc_2": "Robin"}, api_keys={"apikey_1": "Kay"})


def snapshot(taken, **more):
    return computed(taken, epoch="e1", seq=7, at=NOW, **more)


def half_up(amount):
    """The test's own rounding to cents: half a cent and more goes away from zero."""
    sign = -1 if amount < 0 else 1
    return sign * Decimal(int(abs(amount) * 100 + Decimal("0.5"))) / 100


@given(readings())
def test_each_line_is_its_upstream_s_figure_to_the_cent_and_totals_are_the_sums_of_lines(taken):
    shown = snapshot(taken)
    portfolio = taken["kalshi"].value or KalshiPortfolio(Decimal(0), ())
    realized = sum((p.realized_pnl for p in portfolio.positions), portfolio.closed.realized_pnl)
    unrealized = sum((p.unrealized_pnl for p in portfolio.positions), Decimal(0))
    fees = sum((p.fees for p in portfolio.positions), portfolio.closed.fees)
    collected = taken["johns"].value.collected if taken["johns"].value else Decimal(0)
    spend = taken["anthropic"].value.total_spend if taken["anthropic"].value else Decimal(0)

    lines = {
        "realized": (shown.kalshi.realized_pnl, realized),
        "unrealized": (shown.kalshi.unrealized_pnl, unrealized),
        "fees": (shown.kalshi.fees, fees),
        "spend": (shown.anthropic.total_spend, spend),
        "collected": (shown.johns.collected, collected),
    }
    assert {name: line for name, (line, _) in lines.items()} == {
        name: half_up(exact) for name, (_, exact) in lines.items()
    }
    assert shown.total_revenue == half_up(realized) + half_up(unrealized) + half_up(collected)
    assert shown.total_expenses == half_up(spend) + half_up(fees)
    assert shown.exact_net_pnl == realized + unrealized + collected - spend - fees
    assert abs(shown.net_pnl - shown.exact_net_pnl) <= Decimal("0.025"), "five lines, half a cent each"

    view = to_builtins(snapshot_view(shown))
    assert round(view["totalRevenue"] - view["totalExpenses"], 2) == view["netPnL"]
    kalshi, johns = view["components"]["kalshi"], view["components"]["johns"]
    assert round(kalshi["pnl"] + johns["collected"], 2) == view["totalRevenue"]
    assert round(kalshi["realizedPnl"] + kalshi["unrealizedPnl"], 2) == kalshi["pnl"]
    assert round(view["components"]["anthropic"]["totalSpend"] + kalshi["fees"], 2) == view["totalExpenses"]


@given(readings())
def test_the_exact_net_is_published_as_text_with_every_digit(taken):
    shown = snapshot(taken)
    assert Decimal(to_builtins(snapshot_view(shown))["exact"]["netPnL"]) == shown.exact_net_pnl
    assert "exact" not in to_builtins(snapshot_view(replace(shown, exact_net_pnl=None))), (
        "an older ledger did not keep it"
    )


def spent(*amounts):
    day = date(2026, 2, 25)
    rows = tuple(CostRow(day, "claude-opus-4-5", None, Decimal(amount)) for amount in amounts)
    account = KalshiPortfolio(Decimal(0), (Position("T", Decimal(0), Decimal(0), Decimal(0), Decimal("0.004")),))
    return snapshots.taken(
        Reading("kalshi", account, NOW, NOW, "live"),
        Reading("anthropic", AnthropicSpend(day, day, rows), NOW, NOW, "live"),
        Reading("johns", Revenue(Decimal(0), Decimal("0.004")), NOW, NOW, "live"),
    )


@pytest.mark.parametrize("amounts", [["0.005"], ["1.2345", "0.0005"], ["0.004", "0.004"]])
def test_a_day_never_costs_more_than_all_days(amounts):
    figures = snapshot(spent(*amounts)).anthropic
    assert figures.daily_spend == figures.total_spend == half_up(sum(map(Decimal, amounts)))


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1374.504999", "1374.504999"), ("12.5", "12.50"), ("-0.1000", "-0.10"), ("0E-8", "0.00"), ("1E+3", "1000.00")],
)
def test_exact_amounts_as_text(amount, text):
    assert decimal_text(Decimal(amount)) == text


@given(readings())
def test_breakdown_and_attribution_sum_to_the_totals(taken):
    shown = snapshot(taken, rules=RULES)
    assert sum(entry.value for entry in shown.costs) == shown.total_expenses
    shares = sum(entry.percentage for entry in shown.costs)
    assert shares == (100 if any(entry.value > 0 for entry in shown.costs) else 0)
    assert all(0 <= entry.percentage <= 100 for entry in shown.costs)
    assert sum(agent.revenue for agent in shown.agents) == shown.total_revenue
    assert sum(agent.expenses for agent in shown.agents) == shown.total_expenses
    assert len({entry.name for entry in shown.costs}) == len(shown.costs)
    view = json.decode(breakdown_json(shown))
    assert round(sum(row["value"] for row in view["costBreakdown"]), 2) == view["summary"]["totalExpenses"]


@given(readings(), st.randoms())
def test_the_order_of_positions_and_rows_changes_nothing(taken, random):
    portfolio = taken["kalshi"].value
    if portfolio is None:
        return
    shuffled = list(portfolio.positions)
    random.shuffle(shuffled)
    other = replace(portfolio, positions=tuple(shuffled))
    again = snapshots.taken(
        Reading(
            "kalshi",
            other,
            taken["kalshi"].as_of,
            taken["kalshi"].fetched_at,
            taken["kalshi"].tier,
            taken["kalshi"].error,
        ),
        taken["anthropic"],
        taken["johns"],
    )
    assert snapshot(taken) == snapshot(again)


@given(readings())
def test_a_record_gives_back_the_snapshot_as_published(taken):
    shown = snapshot(taken, rules=RULES, simulated=True, baseline=Decimal("12.34"))
    record = to_record(shown)
    assert record.net_cents == record.kalshi_cents + record.revenue_cents - record.costs_cents
    restored = from_record(record)
    assert snapshot_view(restored) == snapshot_view(shown)
    assert breakdown_json(restored) == breakdown_json(shown)
    assert ledger(restored) == ledger(shown)
    assert to_record(restored) == record


@given(readings(), readings())
def test_a_delta_added_to_the_former_sums_gives_the_current_ones(before, after):
    old = sums(to_record(computed(before, epoch="e", seq=1, at=NOW)))
    new = sums(to_record(computed(after, epoch="e", seq=2, at=NOW + 5000)))
    delta = diff(old, new)
    assert (delta.prev_seq, delta.seq, delta.at) == (old.seq, new.seq, new.at)
    for name in ("net", "kalshi", "costs", "revenue"):
        assert getattr(old, name) + getattr(delta, name) == getattr(new, name)
    assert diff(new, new).is_empty


@given(readings(), readings(), readings())
def test_periods_add_up(first, second, now):
    base, middle, current = snapshot(first), snapshot(second), snapshot(now)
    whole = to_builtins(period_view(current, None, "all"))
    since_base = to_builtins(period_view(current, base, "mtd"))
    since_middle = to_builtins(period_view(current, middle, "today"))
    until_middle = to_builtins(period_view(middle, base, "mtd"))
    assert whole["netPnL"] == number(current.net_pnl)
    assert round(since_base["netPnL"] - until_middle["netPnL"] - since_middle["netPnL"], 2) == 0
    assert round(whole["netPnL"] - since_base["netPnL"], 2) == number(base.net_pnl)
    exact = [Decimal(view["exact"]["netPnL"]) for view in (since_base, until_middle, since_middle)]
    assert exact[0] == exact[1] + exact[2]


@given(readings())
def test_a_source_without_any_reading_is_named_and_a_stale_one_keeps_its_age(taken):
    shown = to_builtins(snapshot_view(snapshot(taken)))
    for name, reading in taken.items():
        source = shown["sources"][name]
        assert (name in shown["degraded"]) == (reading.value is None)
        if reading.value is None:
            assert source["status"] == "degraded"
            assert source["ageMs"] is None
        else:
            assert source["status"] == ("live" if reading.tier == "live" else "stale")
            assert source["ageMs"] == max(0, NOW - reading.as_of)
            assert source["error"] == reading.error


def held(quantity, mark, source, cost="10"):
    return Position("T", Decimal(quantity), Decimal(cost), Decimal(0), Decimal(0), mark and Decimal(mark), source)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (held("100", "0.25", "bid"), "15.00"),
        (held("-100", "0.25", "bid"), "15.00"),
        (held("0.50", "0.10", "last"), "-9.95"),
        (held("100", None, "cost"), "0"),
        (held("100", "0", "settlement"), "-10"),
        (held("0", None, None, cost="0"), "0"),
    ],
)
def test_unrealized_is_mark_value_minus_cost(position, expected):
    assert position.unrealized_pnl == Decimal(expected)


@pytest.mark.parametrize(
    ("net", "baseline", "expected"),
    [
        ("110", "100", "10.00"),
        ("-50", "-100", "50.00"),
        ("-150", "-100", "-50.00"),
        ("5", None, "0"),
        ("5", "0", "100"),
        ("-5", "0", "-100"),
        ("0", "0", "0"),
        ("1", "3", "-66.67"),
    ],
)
def test_daily_trend(net, baseline, expected):
    assert trend(Decimal(net), None if baseline is None else Decimal(baseline)) == Decimal(expected)


def test_gross_margin():
    assert gross_margin(Decimal(1500), Decimal("125.50")) == Decimal("91.63")
    assert gross_margin(Decimal(0), Decimal(5)) == 0
    assert gross_margin(Decimal(-1), Decimal(5)) == 0


@given(st.lists(usd, max_size=10), st.integers(-(10**6), 10**6))
def test_apportioned_parts_sum_exactly_and_stay_near_their_weight(weights, total_cents):
    total = Decimal(total_cents) * CENT
    parts = apportion(weights, total)
    assert sum(parts, Decimal(0)) == (total if weights else 0)
    if weights and abs(sum(weights) - total) < CENT:
        assert all(abs(part - weight) <= CENT for part, weight in zip(parts, weights, strict=True))


def test_rounding_is_half_up_and_never_minus_zero():
    assert cents(Decimal("0.005")) == Decimal("0.01")
    assert cents(Decimal("-0.005")) == Decimal("-0.01")
    assert str(number(Decimal("-0.001"))) == "0.0"


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-opus-4-5-20251101", "Claude Opus"),
        ("claude-3-5-sonnet-20241022", "Claude Sonnet"),
        ("claude-haiku-5-5", "Claude Haiku"),
        ("claude-fable-5-1", "Claude Fable"),
        ("gpt-x", "gpt-x"),
        ("claude-5", "claude-5"),
        (None, "Other"),
        ("", "Other"),
    ],
)
def test_model_family(model, family):
    assert model_family(model) == family


@given(portfolios)
def test_johns_revenue_never_counts_the_pipeline(portfolio):
    revenue = Revenue(Decimal(300), Decimal(200), pipeline=Decimal(10**6))
    taken = snapshots.taken(
        Reading("kalshi", portfolio, NOW, NOW, "live"),
        Reading("anthropic", None, 0, 0, "fallback", "x"),
        Reading("johns", revenue, NOW, NOW, "live"),
    )
    shown = snapshot(taken)
    assert shown.total_revenue - shown.kalshi.pnl == 200
    assert to_builtins(snapshot_view(shown))["components"]["johns"]["pipeline"] == 1_000_000.0
