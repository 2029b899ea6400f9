"""The figures that follow from a list of events, computed from nothing else.

Written from the definitions of the figures and from the upstreams' documents: nothing of the server or of the simulator
is imported, so that a mistake there is not made here as well. Money is exact in USD until it is published.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal

from tests.support.events import (
    Archive,
    CashMove,
    Credit,
    DealGone,
    DealSet,
    Determine,
    Event,
    Interest,
    Quote,
    Revise,
    Settle,
    Trade,
    Transfer,
    Usage,
    UsageGone,
)

ZERO, ONE, CENT = Decimal(0), Decimal(1), Decimal("0.01")
MICRO, FEE_STEP = Decimal("0.000001"), Decimal("0.0001")

USD_PER_MILLION = {"claude-opus-5-5": (4, 20), "claude-sonnet-5-5": (2, 10), "claude-haiku-4-5": (1, 5)}
"""Input and output tokens of the models that histories use, as published."""
FAMILY = {"claude-opus-5-5": "Claude Opus", "claude-sonnet-5-5": "Claude Sonnet", "claude-haiku-4-5": "Claude Haiku"}


@dataclass
class Market:
    """One market and what the account has and had in it; quantity > 0 is YES, < 0 NO."""

    bid: Decimal = ZERO
    ask: Decimal = ONE
    last: Decimal = ZERO
    value: Decimal | None = None
    settled: bool = False
    traded: bool = False
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    paid_yes: Decimal = ZERO
    paid_no: Decimal = ZERO

    def trade(self, event: Trade) -> Decimal:
        """Book a fill; the cash that it brings (below 0: takes)."""
        price = event.yes_price if event.outcome == "yes" else ONE - event.yes_price
        direction = 1 if event.outcome == "yes" else -1
        held = -direction * self.quantity if direction * self.quantity < 0 else ZERO
        closed = min(held, event.count)
        opened = event.count - closed
        fee = ZERO
        if event.is_taker:
            fee = (Decimal("0.07") * event.count * price * (ONE - price)).quantize(FEE_STEP, ROUND_UP)
        if closed:
            share = self.cost if closed == held else (self.cost * closed / held).quantize(MICRO, ROUND_HALF_EVEN)
            # A YES and a NO contract of one market together are worth a dollar.
            self.realized += closed * (ONE - price) - share
            self.cost -= share
        self.cost += opened * price
        self.quantity += direction * event.count
        self.fees += fee
        self.last, self.traded = event.yes_price, True
        return closed * (ONE - price) - opened * price - fee

    def settle(self) -> Decimal:
        """Pay the holding; the cash that it brings."""
        assert self.value is not None
        self.paid_yes, self.paid_no = max(self.quantity, ZERO), max(-self.quantity, ZERO)
        payout = self.paid_yes * self.value + self.paid_no * (ONE - self.value)
        self.realized += payout - self.cost
        self.quantity = self.cost = ZERO
        self.settled = True
        return payout

    def revise(self, value: Decimal) -> Decimal:
        """Pay the settled holding by another outcome; the cash that it brings."""
        assert self.value is not None
        more = (self.paid_yes - self.paid_no) * (value - self.value)
        self.value = value
        self.realized += more
        return more

    @property
    def unrealized(self) -> Decimal:
        """Worth less cost: by the outcome, else the bid of the side held, else the last price, else 0."""
        if not self.quantity:
            return ZERO
        yes = self.quantity > 0
        count = abs(self.quantity)
        if self.value is not None:
            return count * (self.value if yes else ONE - self.value) - self.cost
        bid = self.bid if yes else ONE - self.ask
        if bid:
            return count * bid - self.cost
        if self.last:
            return count * (self.last if yes else ONE - self.last) - self.cost
        return ZERO


@dataclass
class State:
    """Everything after some events."""

    markets: defaultdict[str, Market] = field(default_factory=lambda: defaultdict(Market))
    transfers: dict[tuple[str, str], Transfer] = field(default_factory=dict)
    cash: defaultdict[int, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    interest: Decimal = ZERO
    tokens: defaultdict[tuple[date, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    credits: defaultdict[tuple[date, str | None], Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    deals: dict[str, DealSet] = field(default_factory=dict)

    def spend(self) -> dict[tuple[date, str | None], Decimal]:
        """USD by day and model, credits taken off."""
        spent: defaultdict[tuple[date, str | None], Decimal] = defaultdict(lambda: ZERO)
        for (day, model), (given, made) in self.tokens.items():
            per_input, per_output = USD_PER_MILLION[model]
            spent[day, model] += (Decimal(given) * per_input + Decimal(made) * per_output) / 1_000_000
        for key, usd in self.credits.items():
            spent[key] -= usd
        return dict(spent)


def replay(events: Iterable[Event]) -> State:
    """The state after these events, in their order."""
    state = State()
    for event in events:
        _apply(state, event)
    return state


def _apply(state: State, event: Event) -> None:
    match event:
        case Transfer():
            state.transfers[event.kind, event.id] = event
        case CashMove():
            state.cash[event.source] -= Decimal(event.cents) / 100
            state.cash[event.target] += Decimal(event.cents) / 100
        case Interest():
            state.interest += event.usd
        case Quote():
            market = state.markets[event.market]
            market.bid, market.ask, market.last = event.bid, event.ask, event.last
        case Trade():
            state.cash[0] += state.markets[event.market].trade(event)
        case Determine():
            state.markets[event.market].value = event.value
        case Settle():
            state.cash[0] += state.markets[event.market].settle()
        case Revise():
            state.cash[0] += state.markets[event.market].revise(event.value)
        case Usage():
            state.tokens[event.day, event.model][0] += event.input_tokens
            state.tokens[event.day, event.model][1] += event.output_tokens
        case Credit():
            state.credits[event.day, event.model] += event.usd
        case UsageGone():
            state.tokens.pop((event.day, event.model), None)
            state.credits.pop((event.day, event.model), None)
        case DealSet():
            state.deals[event.id] = event
        case DealGone():
            state.deals.pop(event.id, None)
        case Archive():
            pass


def cents(value: Decimal) -> Decimal:
    """To whole cents, half up (away from zero)."""
    return value.quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True)
class Figures:
    """What is published: whole cents of USD, but for `exact_net`, and for the exact parts of `costs`."""

    balance: Decimal
    positions: int
    closed_positions: int
    realized: Decimal
    unrealized: Decimal
    fees: Decimal
    invoiced: Decimal
    collected: Decimal
    pipeline: Decimal
    daily_spend: Decimal
    total_spend: Decimal
    exact_net: Decimal
    costs: dict[str, Decimal]
    deals: int

    @property
    def pnl(self) -> Decimal:
        return self.realized + self.unrealized

    @property
    def revenue(self) -> Decimal:
        return self.pnl + self.collected

    @property
    def expenses(self) -> Decimal:
        return self.total_spend + self.fees

    @property
    def net(self) -> Decimal:
        return self.revenue - self.expenses

    @property
    def margin(self) -> Decimal:
        """Percent."""
        return ZERO if self.revenue <= 0 else cents(100 * self.net / self.revenue)

    def trend(self, baseline: Decimal) -> Decimal:
        """Percent of change of the net P&L against an earlier one."""
        if not baseline:
            return Decimal(100 * ((self.net > 0) - (self.net < 0)))
        return cents(100 * (self.net - baseline) / abs(baseline))

    def agents(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Revenue and expenses by agent, without rules of its own."""
        return {"Scalper": (self.pnl, self.fees), "John": (self.collected, ZERO), "Cliff": (ZERO, self.total_spend)}


def figures(events: Sequence[Event], *, since: date, today: date) -> Figures:
    """The figures after these events; spend counts from `since` on, and `today` is the UTC day that runs."""
    state = replay(events)
    held = state.markets.values()
    exact = {name: sum((getattr(market, name) for market in held), ZERO) for name in ("realized", "unrealized", "fees")}
    spent = {key: usd for key, usd in state.spend().items() if key[0] >= since}
    total = sum(spent.values(), ZERO)
    by_status = {
        status: sum((deal.usd for deal in state.deals.values() if deal.status == status), ZERO)
        for status in ("recognized", "pending", "pipeline")
    }
    costs: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for (_, model), usd in spent.items():
        costs["Other" if model is None else FAMILY[model]] += usd
    collected = by_status["recognized"]
    return Figures(
        balance=cents(balance(state)),
        positions=sum(market.quantity != 0 for market in held),
        closed_positions=sum(market.traded and not market.quantity for market in held),
        realized=cents(exact["realized"]),
        unrealized=cents(exact["unrealized"]),
        fees=cents(exact["fees"]),
        invoiced=cents(collected + by_status["pending"]),
        collected=cents(collected),
        pipeline=cents(by_status["pipeline"]),
        daily_spend=cents(sum((usd for (day, _), usd in spent.items() if day == today), ZERO)),
        total_spend=cents(total),
        exact_net=exact["realized"] + exact["unrealized"] + collected - exact["fees"] - total,
        costs={name: usd for name, usd in costs.items() if usd},
        deals=sum(deal.status != "pipeline" for deal in state.deals.values()),
    )


def balance(state: State, subaccounts: Iterable[int] = (0,)) -> Decimal:
    """Cash in these subaccounts; transfers and interest come into the primary one (0)."""
    total = sum((state.cash[number] for number in subaccounts), ZERO)
    return total + net_deposits(state) + state.interest


def net_deposits(state: State) -> Decimal:
    """What was paid in less what was paid out, of the transfers that were applied."""
    total = 0
    for row in state.transfers.values():
        if row.status == "applied":
            total += (row.cents if row.kind == "deposit" else -row.cents) - row.fee_cents
    return Decimal(total) / 100


def spend_by_day(events: Sequence[Event], *, since: date) -> dict[date, Decimal]:
    """USD of each day that counts, exact."""
    days: defaultdict[date, Decimal] = defaultdict(lambda: ZERO)
    for (day, _), usd in replay(events).spend().items():
        if day >= since:
            days[day] += usd
    return dict(days)


def per_market(events: Sequence[Event]) -> dict[str, tuple[Decimal, Decimal]]:
    """Realized P&L and fees of each market, exact."""
    return {name: (market.realized, market.fees) for name, market in replay(events).markets.items()}
