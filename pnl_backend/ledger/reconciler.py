"""Watches whether the books agree: equity with P&L at each fresh reading, the ledger with its sources once an hour.

A difference is published as it is at once. It is called a gap, in the log and in the health report, when a second
reading shows it too and the transfers were read in between: balance, positions and transfers come by separate calls,
so whatever happens between two of them looks like a gap for a moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Any, Literal

from loguru import logger

from pnl_backend.domain.classic import ANTHROPIC, JOHNS, KALSHI
from pnl_backend.domain.lines import AgedOut
from pnl_backend.domain.money import CENT, ZERO, number
from pnl_backend.domain.readings import AnthropicSpend, KalshiPortfolio, Reading, Revenue
from pnl_backend.domain.reconciliation import Difference, Reconciliation, net_deposits, reconcile
from pnl_backend.domain.times import iso
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite.facts import Facts
from pnl_backend.wire import operations

TOLERANCE = Decimal(1)
HOUR = 3600.0
AGAIN = 5.0
"""Seconds until a comparison is tried again for which a source was missing."""

State = Literal["unknown", "reconciled", "gap"]


AgedOutOf = Callable[[Collection[str]], tuple[Decimal, Decimal]]
"""Realized profit and fees remembered of markets that are not among the tickers given."""


class Reconciler:
    """Fits the bookkeeper's watchers.

    `publish` is given every gap in USD; `hurry` asks for a new fetch of everything when one appears. `latest` answers
    what a source told last, None while that is not live.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        aged_out: AgedOutOf,
        latest: Callable[[str], Any],
        hurry: Callable[[], None],
        publish: Callable[[float], None],
        audit_every: float = HOUR,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._facts = facts
        self._aged_out = aged_out
        self._latest = latest
        self._hurry = hurry
        self._publish = publish
        self._audit_every = audit_every
        self._monotonic = monotonic
        self._audit_due = monotonic()
        self._found: Reconciliation | None = None
        self._as_of = 0
        self._suspected_at: int | None = None
        self._gap_said = False
        self._differences: tuple[Difference, ...] = ()
        self._differing: frozenset[str] = frozenset()
        self._archived: Decimal | None = None
        self._failed = False

    @property
    def state(self) -> State:
        if self._found is None:
            return "unknown"
        return "gap" if self._gap_said else "reconciled"

    def report(self) -> operations.Reconciliation:
        """What everybody may see: what is left over, never the account's own figures."""
        found = self._found
        return operations.Reconciliation(
            state=self.state,
            gap=None if found is None else number(found.gap),
            asOf=None if found is None else iso(self._as_of),
            differences={one.name: number(one.amount) for one in self._differences},
        )

    def problem(self) -> str | None:
        """What is wrong, in a sentence; None while the books agree or nothing is known yet."""
        wrong = [_words(self._found)] if self._gap_said and self._found is not None else []
        wrong += [_differs(one) for one in self._differences if one.name in self._differing]
        return "; ".join(wrong) or None

    async def recorded(self, kind: str, names: Sequence[str]) -> None:
        """Nothing to do: what is new counts at the next look."""

    async def looked(self, account: Reading[KalshiPortfolio] | None, fetched_at: int | None) -> None:
        try:
            if account is not None and account.value is not None and fetched_at is not None:
                deposited = net_deposits(await self._facts.transfers())
                self._weigh(account.value, account.as_of, deposited, fetched_at)
            if self._monotonic() >= self._audit_due:
                await self.audit(with_account=fetched_at is not None)
        except StoreError as error:
            if not self._failed:
                logger.warning("The books cannot be compared while the ledger cannot be read: {}", error)
            self._failed = True
        else:
            self._failed = False

    def _weigh(self, portfolio: KalshiPortfolio, as_of: int, deposited: Decimal, fetched_at: int) -> None:
        remembered = AgedOut(*self._aged_out({position.ticker for position in portfolio.positions}))
        self._found = found = reconcile(portfolio, net_deposits=deposited, aged_out=remembered)
        self._as_of = as_of
        self._publish(float(found.gap))
        if abs(found.gap) <= TOLERANCE:
            if self._gap_said:
                logger.info("The account reconciles again: {:.2f} USD are left", found.gap)
            self._suspected_at, self._gap_said = None, False
        elif self._suspected_at is None:
            self._suspected_at = as_of
            self._hurry()
        elif not self._gap_said and fetched_at > self._suspected_at and as_of > self._suspected_at:
            self._gap_said = True
            logger.warning("The account does not reconcile: {}", _words(found))

    async def audit(self, *, with_account: bool) -> None:
        """Hold the ledger's facts against what the sources say now; raises StoreError."""
        fees, costs, collected = (
            await self._fees() if with_account else None,
            await self._costs(),
            await self._collected(),
        )
        whole = fees is not None and costs is not None
        self._audit_due = self._monotonic() + (self._audit_every if whole else min(AGAIN, self._audit_every))
        found = [one for one in (fees, costs, collected) if one is not None]
        self._differences = tuple(found)
        if fees is not None and self._archived is None:
            self._archived = self._past(fees)
        differing = {one.name: one for one in found if self._is_wrong(one)}
        for name in sorted(differing.keys() - self._differing):
            logger.warning("The ledger differs from its source: {}", _differs(differing[name]))
        for name in sorted(self._differing - differing.keys()):
            logger.info("The ledger agrees with its source again: {}", name)
        self._differing = frozenset(differing)

    def _past(self, fees: Difference) -> Decimal:
        """Fees of fills that the upstream had archived before it was first asked: they are lacking for ever."""
        if fees.amount < -TOLERANCE:
            logger.info("Fills with {:.2f} USD of fees had been archived before this ledger began", -fees.amount)
        return min(ZERO, fees.amount)

    def _is_wrong(self, one: Difference) -> bool:
        expected = self._archived or ZERO if one.name == "fees" else ZERO
        return abs(one.amount - expected) > TOLERANCE

    async def _fees(self) -> Difference | None:
        """Fees of all fills, and of all positions."""
        portfolio: KalshiPortfolio | None = self._latest(KALSHI)
        if portfolio is None:
            return None
        stored = await self._facts.fill_fees()
        _, aged = self._aged_out({position.ticker for position in portfolio.positions})
        return Difference("fees", stored, sum((position.fees for position in portfolio.positions), aged))

    async def _costs(self) -> Difference | None:
        """Cost of every day that the reading covers."""
        spend: AnthropicSpend | None = self._latest(ANTHROPIC)
        if spend is None:
            return None
        rows = await self._facts.costs(spend.since, spend.today)
        return Difference("costs", sum((row.amount for row in rows), ZERO), spend.total_spend)

    async def _collected(self) -> Difference | None:
        """Deals that were collected; an endpoint that gives totals alone names none."""
        revenue: Revenue | None = self._latest(JOHNS)
        if revenue is None or not revenue.deals:
            return None
        stored = sum((deal.amount for deal in await self._facts.deals() if deal.status == "recognized"), ZERO)
        return Difference("collected", stored, revenue.collected)


def _words(found: Reconciliation) -> str:
    valued = f", {found.valuation:.2f} of it by valuing positions differently" if abs(found.valuation) >= CENT else ""
    return (
        f"equity {found.equity:.2f} less net deposits {found.net_deposits:.2f} is {found.gap:+.2f} USD off "
        f"P&L {found.pnl:.2f} less fees {found.fees:.2f}{valued}"
    )


def _differs(one: Difference) -> str:
    return f"{one.name} {one.stored:.2f} in the ledger, {one.told:.2f} at the source ({one.amount:+.2f} USD)"
