"""Hypothesis strategies for readings as real accounts have them: sub-cent prices, losses, gaps, odd names."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from pnl_backend.domain.readings import (
    AnthropicSpend,
    ClosedMarkets,
    CostRow,
    Deal,
    KalshiPortfolio,
    Position,
    Reading,
    Readings,
    Revenue,
)

SINCE = date(2026, 1, 1)
NOW = 1_772_058_240_000

usd = st.decimals(min_value=-(10**7), max_value=10**7, places=6, allow_nan=False, allow_infinity=False)
positive = st.decimals(min_value=0, max_value=10**7, places=6, allow_nan=False, allow_infinity=False)
price = st.decimals(min_value=0, max_value=1, places=4, allow_nan=False, allow_infinity=False)
quantity = st.decimals(min_value=-5000, max_value=5000, places=2, allow_nan=False, allow_infinity=False)
tickers = st.text("ABCDEFGHIJ-0123456789.", min_size=1, max_size=12)


@st.composite
def positions(draw: st.DrawFn) -> Position:
    held = draw(quantity)
    mark = draw(st.none() | price) if held else None
    source = None if not held else draw(st.sampled_from(["bid", "last", "settlement"])) if mark is not None else "cost"
    cost = draw(positive) if held else Decimal(0)
    return Position(draw(tickers), held, cost, draw(usd), draw(positive), mark, source)


portfolios = st.builds(
    KalshiPortfolio,
    balance=positive,
    positions=st.lists(positions(), max_size=12, unique_by=lambda p: p.ticker).map(tuple),
    portfolio_value=st.none() | positive,
    closed=st.builds(ClosedMarkets, usd, positive, st.integers(0, 10**5)),
)
models = st.sampled_from(
    [None, "claude-opus-4-5-20251101", "claude-3-5-sonnet-20241022", "claude-haiku-5-5", "claude-fable-5-1", "other"]
)
workspaces = st.sampled_from([None, "wrkspc_1", "wrkspc_2"])
cost_rows = st.builds(
    CostRow,
    day=st.integers(0, 60).map(lambda n: SINCE + timedelta(days=n)),
    model=models,
    workspace_id=workspaces,
    amount=usd,
    api_key_id=st.sampled_from([None, "apikey_1"]),
)
spends = st.builds(
    AnthropicSpend,
    since=st.just(SINCE),
    today=st.just(SINCE + timedelta(days=60)),
    rows=st.lists(cost_rows, max_size=20).map(tuple),
    estimated=st.booleans(),
    notes=st.lists(st.text(max_size=20), max_size=2).map(tuple),
)
deals = st.builds(
    Deal,
    id=st.text(min_size=1, max_size=8),
    name=st.text(max_size=20),
    amount=positive,
    status=st.sampled_from(["recognized", "pending", "pipeline"]),
    closed_at=st.none() | st.integers(0, 4_102_444_800_000),
)
revenues = st.builds(
    Revenue,
    invoiced=positive,
    collected=positive,
    pipeline=positive,
    deals=st.lists(deals, max_size=8, unique_by=lambda d: d.id).map(tuple),
)


@st.composite
def readings(draw: st.DrawFn) -> Readings:
    def one(source, values):
        value = draw(st.none() | values)
        if value is None:
            return Reading(source, None, 0, 0, "fallback", "never answered")
        tier = draw(st.sampled_from(["live", "memory", "redis", "sqlite", "fallback"]))
        as_of = NOW - draw(st.integers(-5000, 10**9))
        return Reading(source, value, as_of, as_of, tier, None if tier == "live" else "it failed")

    values = {"kalshi": portfolios, "anthropic": spends, "johns": revenues}
    return {source: one(source, of) for source, of in values.items()}
