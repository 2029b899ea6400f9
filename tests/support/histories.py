"""Random histories: steps that are made in the simulator and recorded as events for the calculator.

A step is a tuple of a name and plain values, so that a failing history can be printed and given again. One that cannot
be (a trade in a market that has settled) does nothing, which keeps every list of steps a history.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from pnl_backend.simulator import Fault, Simulator
from tests.support import events as happened
from tests.support.calculator import USD_PER_MILLION
from tests.support.events import Event

Step = tuple[Any, ...]
MARKETS = 5
MODELS = sorted(USD_PER_MILLION)
RESULTS = {"yes": Decimal(1), "no": Decimal(0)}
NEXT_STATUSES = {"pending": ("applied", "failed"), "applied": ("returned",)}
"""What may become of a transfer."""
FAULTS: dict[str, Callable[[], Fault]] = {
    "slow": lambda: Fault.slow(0.15),
    "slow positions": lambda: Fault.slow(0.3, path="/portfolio/positions"),
    "slow history": lambda: Fault.slow(0.3, path="/historical"),
    "failing": lambda: Fault.status(500),
    "failing now and then": lambda: Fault.make("status", code=503, times=2, skip=1),
    "closing": lambda: Fault.close(times=3),
    "cut": lambda: Fault.cut(times=2),
    "limiting": lambda: Fault.rate_limit(times=3),
    "truncated": lambda: Fault.truncated(times=2),
}


def steps(*, days_pass: bool = False) -> st.SearchStrategy[list[Step]]:
    """Histories of some dozen steps.

    Usage is revised on the two days that are still open; where `days_pass`, on closed ones too.
    """
    oldest_revision = 5 if days_pass else 1
    market = st.integers(0, MARKETS - 1)
    side = st.sampled_from(["yes", "no"])
    milli = st.integers(1, 999)
    count = st.one_of(st.integers(1, 20).map(lambda whole: whole * 100), st.integers(1, 3000))
    result = st.sampled_from(["yes", "no", "scalar"])
    days = st.integers(0, oldest_revision)
    model = st.integers(0, len(MODELS) - 1)
    deal, usd_cents = st.integers(0, 3), st.integers(0, 500_000)
    status = st.sampled_from(["pending", "applied", "returned", "failed"])
    trade = st.tuples(st.just("trade"), market, side, count, milli, st.booleans(), st.sampled_from([0, 0, 1]))
    return st.lists(
        st.one_of(
            trade,
            trade,
            st.tuples(st.just("close"), market, milli),
            st.tuples(st.just("quote"), market, st.integers(0, 998), st.integers(1, 1000), st.integers(0, 1000)),
            st.tuples(st.just("determine"), market, result, milli),
            st.tuples(st.just("settle"), market, result, milli),
            st.tuples(st.just("archive"), market, st.booleans()),
            st.tuples(st.just("revise"), market, result, milli),
            st.tuples(st.just("transfer"), st.sampled_from(["deposit", "withdrawal"]), deal, usd_cents, status),
            st.tuples(st.just("interest"), st.integers(-200, 500)),
            st.tuples(st.just("lag"), st.integers(0, 3)),
            st.tuples(st.just("move"), st.integers(1, 3), st.booleans(), usd_cents),
            st.tuples(st.just("usage"), days, model, st.integers(-900_000, 2_000_000), st.integers(0, 300_000)),
            st.tuples(st.just("credit"), days, st.integers(0, len(MODELS)), st.integers(1, 2_000)),
            st.tuples(st.just("forget"), days, model),
            st.tuples(st.just("deal"), deal, usd_cents, st.sampled_from(["recognized", "pending", "pipeline"])),
            st.tuples(st.just("deal gone"), deal),
            st.tuples(st.just("fault"), st.sampled_from(["kalshi", "anthropic", "johns"]), st.sampled_from([*FAULTS])),
            st.tuples(st.just("stop")),
            st.tuples(st.just("start")),
            st.tuples(st.just("check")),
        ),
        min_size=8,
        max_size=30,
    )


class Played:
    """Plays steps to a simulator and writes down what happened."""

    def __init__(self, simulator: Simulator, clock: Callable[[], float]) -> None:
        self.simulator = simulator
        self.events: list[Event] = []
        self._clock = clock

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()

    def play(self, step: Step) -> bool:
        """Whether it could be; a step about the server is none of ours."""
        play = getattr(self, "_" + step[0].replace(" ", "_"))
        try:
            events = play(*step[1:])
        except ValueError:
            return False
        self.events += events
        return True

    def _market(self, number: int) -> str:
        """The ticker of a market, which is opened when it is first named."""
        ticker = ticker_of(number)
        exchange = self.simulator.kalshi.exchange
        if ticker not in exchange.markets and ticker not in exchange.archived_markets:
            self.simulator.kalshi.open_market(ticker, Decimal("0.40"), Decimal("0.42"))
            self.events.append(happened.Quote(ticker, Decimal("0.40"), Decimal("0.42"), Decimal(0)))
        return ticker

    def _trade(
        self, number: int, outcome: Any, hundredths: int, milli: int, is_taker: bool, subaccount: int = 0
    ) -> list[Event]:
        ticker, count, price = self._market(number), Decimal(hundredths) / 100, Decimal(milli) / 1000
        self.simulator.kalshi.trade(ticker, outcome, count, price, is_taker=is_taker, subaccount=subaccount)
        return [happened.Trade(ticker, outcome, count, price, is_taker, subaccount)]

    def _close(self, number: int, milli: int) -> list[Event]:
        """Sell all that is held."""
        held = self.simulator.kalshi.account().positions.get((0, self._market(number)))
        if held is None or not held.quantity:
            return []
        outcome = "no" if held.quantity > 0 else "yes"
        return self._trade(number, outcome, int(abs(held.quantity) * 100), milli, True)

    def _quote(self, number: int, bid: int, spread: int, last: int) -> list[Event]:
        ticker = self._market(number)
        prices = [Decimal(price) / 1000 for price in (bid, min(1000, bid + spread), last)]
        self.simulator.kalshi.quote(ticker, *prices)
        return [happened.Quote(ticker, *prices)]

    def _determine(self, number: int, result: Any, milli: int) -> list[Event]:
        ticker, value = self._market(number), RESULTS.get(result, Decimal(milli) / 1000)
        self.simulator.kalshi.determine(ticker, result, value)
        return [happened.Determine(ticker, value)]

    def _settle(self, number: int, result: Any, milli: int) -> list[Event]:
        ticker = self._market(number)
        market = self.simulator.kalshi.exchange.market(ticker)
        before = [] if market.status == "determined" else self._determine(number, result, milli)
        self.simulator.kalshi.settle(ticker)
        return [*before, happened.Settle(ticker)]

    def _archive(self, number: int, settlements_stay: bool) -> list[Event]:
        ticker = self._market(number)
        self.simulator.kalshi.archive([ticker], settlements_stay=settlements_stay)
        return [happened.Archive(ticker)]

    def _revise(self, number: int, result: Any, milli: int) -> list[Event]:
        ticker, value = self._market(number), RESULTS.get(result, Decimal(milli) / 1000)
        self.simulator.kalshi.revise(ticker, result, value)
        return [happened.Revise(ticker, value)]

    def _transfer(self, kind: Any, number: int, cents: int, status: Any) -> list[Event]:
        # Whether a deposit arrives less its fee no document says.
        name, fee = f"{kind}-{number}", 0 if kind == "deposit" else cents % 300
        for known in self.simulator.kalshi.account().transfers:
            if (known.kind, known.id) == (kind, name):
                cents, fee = known.amount_cents, known.fee_cents
                if status not in NEXT_STATUSES.get(known.status, ()):
                    return []
        self.simulator.kalshi.put_transfer(kind, name, cents, fee_cents=fee, status=status)
        return [happened.Transfer(kind, name, cents, fee, status)]

    def _interest(self, cents: int) -> list[Event]:
        usd = Decimal(cents) / 100
        self.simulator.kalshi.adjust(usd)
        return [happened.Interest(usd)]

    def _lag(self, tenths: int) -> list[Event]:
        """Let Kalshi's REST stay behind by up to so many tenths of a second."""
        self.simulator.kalshi.set_rest_lag(tenths / 10)
        return []

    def _move(self, subaccount: int, away: bool, cents: int) -> list[Event]:
        source, target = (0, subaccount) if away else (subaccount, 0)
        self.simulator.kalshi.move_cash(source, target, cents)
        return [happened.CashMove(source, target, cents)]

    def _usage(self, days_ago: int, model: int, given: int, made: int) -> list[Event]:
        name = MODELS[model]
        self.simulator.usage.use_model(
            name, input_tokens=given, output_tokens=made, days_ago=days_ago, workspace_id="wrkspc_01Default"
        )
        return [happened.Usage(self._day(days_ago), name, given, made)]

    def _credit(self, days_ago: int, model: int, cents: int) -> list[Event]:
        name, usd = MODELS[model] if model < len(MODELS) else None, Decimal(cents) / 100
        self.simulator.usage.credit_usage(usd, model=name, days_ago=days_ago, workspace_id="wrkspc_01Default")
        return [happened.Credit(self._day(days_ago), name, usd)]

    def _forget(self, days_ago: int, model: int) -> list[Event]:
        self.simulator.usage.forget_usage(days_ago=days_ago, model=MODELS[model])
        return [happened.UsageGone(self._day(days_ago), MODELS[model])]

    def _day(self, days_ago: int) -> date:
        return self.today - timedelta(days=days_ago)

    def _deal(self, number: int, cents: int, status: Any) -> list[Event]:
        usd = Decimal(cents) / 100
        self.simulator.set_deal(f"d-{number}", amount=usd, status=status)
        return [happened.DealSet(f"d-{number}", usd, status)]

    def _deal_gone(self, number: int) -> list[Event]:
        self.simulator.remove_deal(f"d-{number}")
        return [happened.DealGone(f"d-{number}")]

    def _fault(self, upstream: str, kind: str) -> list[Event]:
        self.simulator.set_fault(upstream, FAULTS[kind]())
        return []


def ticker_of(number: int) -> str:
    """The ticker of a market; two of them belong to one event."""
    return f"KXHIST{number // 2}-27JAN01-T{number}"
