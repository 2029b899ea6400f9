"""Readings of the three classic sources, and what clients were sent for them before sources were registered."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from pnl_backend.domain.attribution import AgentRules
from pnl_backend.domain.readings import (
    AnthropicSpend,
    ClosedMarkets,
    CostRow,
    Deal,
    KalshiPortfolio,
    Position,
    Reading,
    Revenue,
)

FOLDER = Path(__file__).parents[1] / "data" / "snapshots"
NOW = 1_772_058_240_000
TODAY = date(2026, 2, 25)
SOURCES = ("kalshi", "anthropic", "johns")


def usd(text):
    return Decimal(text)


def position(ticker, quantity, cost, realized, fees, mark=None, source=None):
    money = [usd(amount) for amount in (quantity, cost, realized, fees)]
    return Position(ticker, *money, None if mark is None else usd(mark), source)


PORTFOLIO = KalshiPortfolio(
    usd("10000.005"),
    (
        position("A", "100", "40.1250", "12.345", "0.333", "0.4350", "bid"),
        position("B", "-20", "9.9", "-3.005", "0.1", "0.5", "last"),
        position("C", "5", "2.5", "0", "0.005", None, "cost"),
        position("D", "0", "0", "400.125", "19.812"),
    ),
    usd("64.31"),
)
SPEND = AnthropicSpend(
    TODAY - timedelta(days=2),
    TODAY,
    (
        CostRow(TODAY - timedelta(days=2), "claude-opus-4-5-20251101", None, usd("50.1234")),
        CostRow(TODAY - timedelta(days=1), "claude-3-5-sonnet-20241022", "wrkspc_1", usd("30.3333")),
        CostRow(TODAY, "claude-opus-4-5-20251101", "wrkspc_2", usd("5.2505"), "apikey_1"),
        CostRow(TODAY, None, None, usd("0.0071")),
    ),
    estimated=True,
    notes=("Today is estimated.",),
)
REVENUE = Revenue(
    usd("2000"),
    usd("1000.505"),
    usd("750.25"),
    (
        Deal("d1", "First", usd("600.505"), "recognized", 1_771_000_000_000),
        Deal("d2", "Second", usd("400"), "recognized", 1_771_500_000_000),
        Deal("d3", "Third", usd("999.495"), "pending", None),
        Deal("d4", "Fourth", usd("750.25"), "pipeline", None),
    ),
)
RULES = AgentRules(workspaces={"wrkspc_1": "Scalper", "wrkspc_2": "Robin"}, api_keys={"apikey_1": "Kay"})

VALUES = {
    "all": (replace(PORTFOLIO, closed=ClosedMarkets(usd("7.777"), usd("0.555"))), SPEND, REVENUE),
    "nothing": (None, None, None),
    "no_kalshi": (None, SPEND, REVENUE),
    "no_deals": (PORTFOLIO, None, Revenue(usd("7"), usd("3.5"))),
    "empty": (KalshiPortfolio(usd("0"), ()), AnthropicSpend(TODAY, TODAY, ()), Revenue(usd("0"), usd("0"))),
    "loss": (
        KalshiPortfolio(usd("1"), (position("X", "0", "0", "-1234.567", "3.335"),)),
        SPEND,
        Revenue(usd("1"), usd("1")),
    ),
}
OPTIONS = {
    "all": {"rules": RULES, "baseline": usd("1000")},
    "no_kalshi": {"baseline": usd("0"), "simulated": True},
}


def reading(name, value):
    if value is None:
        return Reading(name, None, NOW, NOW, "fallback", f"{name}: no answer yet")
    live = name != "johns"
    return Reading(name, value, NOW - 812, NOW - 500, "live" if live else "sqlite", None if live else "it failed")


def taken(case):
    """The case's readings by source."""
    return {name: reading(name, value) for name, value in zip(SOURCES, VALUES[case], strict=True)}
