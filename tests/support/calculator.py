"""The figures that follow from a list of events, computed from nothing else.

Written from the definitions of the figures and from the upstreams' documents: nothing of the server or of the simulator
is imported, so that a mistake there is not made here as well. Money is exact in USD until it is published.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, ROUND_UP, Decimal

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
from tests.support.published import ZERO, Figures, cents

ONE = Decimal(1)
MICRO, FEE_STEP = Decimal("0.000001"), Decimal("0.0001")

USD_PER_MILLION = {"claude-opus-5-5": (4, 20), "claude-sonnet-5-5": (2, 10), "claude-haiku-4-5": (1, 5)}
"""Input and output tokens of the models that histories use, as published."""
FAMILY = {"claude-opus-5-5": "Claude Opus", "claude-sonnet-5-5": "Claude Sonnet", "claude-haiku-4-5": "Claude Haiku"}


@dataclass
class Market:
    """Prices of a market, and its outcome once that is known, in USD per YES contract."""

    bid: Decimal = ZERO
    ask: Decimal = ONE
    last: Decimal = ZERO
    value: Decimal | None = None


@dataclass
class Holding:
    """What a subaccount has and had in a market; quantity > 0 is YES, < 0 NO."""

    market: Market
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
        self.market.last = event.yes_price
        return closed * (ONE - price) - opened * price - fee

    def settle(self) -> Decimal:
        """Pay the holding; the cash that it brings."""
        value = self.market.value
        assert value is not None
        self.paid_yes, self.paid_no = max(self.quantity, ZERO), max(-self.quantity, ZERO)
        payout = self.paid_yes * value + self.paid_no * (ONE - value)
        self.realized += payout - self.cost
        self.quantity = self.cost = ZERO
        return payout

    def revise(self, more: Decimal) -> Decimal:
        """Pay the settled holding by an outcome that is so much higher; the cash that it brings."""
        gain = (self.paid_yes - self.paid_no) * more
        self.realized += gain
        return gain

    @property
    def unrealized(self) -> Decimal:
        """Worth less cost: by the outcome, else the bid of the side held, else the last price, else 0."""
        if not self.quantity:
            return ZERO
        yes, count, market = self.quantity > 0, abs(self.quantity), self.market
        if market.value is not None:
            return count * (market.value if yes else ONE - market.value) - self.cost
        bid = market.bid if yes else ONE - market.ask
        if bid:
            return count * bid - self.cost
        if market.last:
            return count * (market.last if yes else ONE - market.last) - self.cost
        return ZERO


@dataclass
class State:
    """Everything after some events."""

    markets: defaultdict[str, Market] = field(default_factory=lambda: defaultdict(Market))
    held: dict[tuple[int, str], Holding] = field(default_factory=dict)
    transfers: dict[tuple[str, str], Transfer] = field(default_factory=dict)
    cash: defaultdict[int, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    interest: Decimal = ZERO
    tokens: defaultdict[tuple[date, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    credits: defaultdict[tuple[date, str | None], Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    deals: dict[str, DealSet] = field(default_factory=dict)

    def holding(self, subaccount: int, market: str) -> Holding:
        return self.held.setdefault((subaccount, market), Holding(self.markets[market]))

    def everyone(self, market: str) -> list[tuple[int, Holding]]:
        """The holdings of a market by subaccount."""
        return [(number, holding) for (number, ticker), holding in self.held.items() if ticker == market]

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
            state.cash[event.subaccount] += state.holding(event.subaccount, event.market).trade(event)
        case Determine():
            state.markets[event.market].value = event.value
        case Settle():
            for number, holding in state.everyone(event.market):
                state.cash[number] += holding.settle()
        case Revise():
            market = state.markets[event.market]
            more, market.value = event.value - (market.value or ZERO), event.value
            for number, holding in state.everyone(event.market):
                state.cash[number] += holding.revise(more)
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


def figures(events: Sequence[Event], *, since: date, today: date, subaccounts: Container[int] = (0,)) -> Figures:
    """The figures of `subaccounts` after these events.

    Spend counts from `since` on, and `today` is the UTC day that runs.
    """
    state = replay(events)
    held = [holding for (number, _), holding in state.held.items() if number in subaccounts]
    exact = {
        name: sum((getattr(holding, name) for holding in held), ZERO) for name in ("realized", "unrealized", "fees")
    }
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
        balance=cents(balance(state, subaccounts)),
        positions=len({id(holding.market) for holding in held if holding.quantity}),
        closed_positions=sum(not holding.quantity for holding in held),
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


def balance(state: State, subaccounts: Container[int]) -> Decimal:
    """Cash in these subaccounts; transfers and interest come into the primary one (0), which is one of them."""
    total = sum((cash for number, cash in state.cash.items() if number in subaccounts), ZERO)
    return total + net_deposits(state) + state.interest


def unexplained(events: Sequence[Event], subaccounts: Container[int]) -> Decimal:
    """Cash of these subaccounts that comes from no deposit and no trade: interest, and what other subaccounts gave."""
    state = replay(event for event in events if isinstance(event, CashMove | Interest))
    return balance(state, subaccounts)


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


def per_market(events: Sequence[Event], subaccounts: Container[int]) -> dict[Hashable, tuple[Decimal, Decimal]]:
    """Realized P&L and fees of each of these subaccounts' markets, exact."""
    held = replay(events).held.items()
    return {key: (holding.realized, holding.fees) for key, holding in held if key[0] in subaccounts}
