"""Reconciliation: equity with P&L at each new reading of the account, the ledger with its sources once an hour.

Each difference is published at once. The log and the health report call it a gap only when a second reading shows it
too and the transfers were fetched in between: balance, positions and transfers come by separate calls, so a change
between two of these calls causes a difference that ends by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal

from loguru import logger

from pnl_backend.domain.classic import ANTHROPIC, JOHNS, KALSHI
from pnl_backend.domain.money import CENT, ZERO, number
from pnl_backend.domain.readings import AnthropicSpend, KalshiPortfolio, Reading, Revenue
from pnl_backend.domain.reconciliation import Difference, Reconciliation, net_deposits, reconcile
from pnl_backend.domain.times import iso
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.facts import Facts
from pnl_backend.wire import operations

HOUR = 3600.0
AGAIN = 5.0
"""Seconds until a comparison is tried again, if a source was missing."""

State = Literal["unknown", "reconciled", "gap"]


class Reconciler:
    """One of the bookkeeper's watchers.

    Differences up to `tolerance` (USD) are no gap. `publish` is called with every gap in USD, `fetch_soon` when one
    appears, `is_imported()` says whether all fills are in the ledger, `moved()` returns the USD that came from
    subaccounts that do not count. `latest` returns a source's last value, None
    while it is not live.
    """

    def __init__(
        self,
        *,
        facts: Facts,
        latest: Callable[[str], Any],
        fetch_soon: Callable[[], None],
        publish: Callable[[float], None],
        tolerance: Decimal,
        is_imported: Callable[[], bool] = lambda: True,
        moved: Callable[[], Decimal] = lambda: ZERO,
        audit_every: float = HOUR,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._facts = facts
        self._latest = latest
        self._fetch_soon = fetch_soon
        self._publish = publish
        self._tolerance = tolerance
        self._is_imported = is_imported
        self._moved = moved
        self._audit_every = audit_every
        self._monotonic = monotonic
        self._audit_due = monotonic()
        self._found: Reconciliation | None = None
        self._as_of = 0
        self._suspected_at: int | None = None
        self._gap_reported = False
        self._differences: tuple[Difference, ...] = ()
        self._wrong: frozenset[str] = frozenset()
        self._differing: frozenset[str] = frozenset()
        self._archived: Decimal | None = None
        self._failed = False

    @property
    def state(self) -> State:
        if self._found is None:
            return "unknown"
        return "gap" if self._gap_reported else "reconciled"

    def equity(self) -> tuple[bool | None, Decimal]:
        """Whether the equity reconciles, None while that is unknown, and the gap in USD."""
        gap = ZERO if self._found is None else self._found.gap
        return {"unknown": None, "reconciled": True, "gap": False}[self.state], gap

    def report(self) -> operations.Reconciliation:
        """The public report: the gap and the differences, never the account's own figures."""
        found = self._found
        return operations.Reconciliation(
            state=self.state,
            gap=None if found is None else number(found.gap),
            asOf=None if found is None else iso(self._as_of),
            differences={one.name: number(one.amount) for one in self._differences},
        )

    def problem(self) -> str | None:
        """What does not reconcile, in a sentence; None if everything does or nothing is known yet."""
        wrong = [_words(self._found)] if self._gap_reported and self._found is not None else []
        wrong += [_differs(one) for one in self._differences if one.name in self._differing]
        return "; ".join(wrong) or None

    async def on_recorded(self, kind: str, names: Sequence[str]) -> None:
        """Nothing to do: new facts count at the next reading."""

    async def on_reading(self, account: Reading[KalshiPortfolio] | None, fetched_at: int | None) -> None:
        try:
            portfolio = account.value if account is not None and fetched_at is not None else None
            if account is not None and portfolio is not None and portfolio.importing is None:
                deposited = net_deposits(await self._facts.transfers()) + self._moved()
                adjusted = await self._facts.adjustments.total(KALSHI, account.as_of)
                self._compare_equity(portfolio, account.as_of, fetched_at or 0, deposited, adjusted)
            if self._monotonic() >= self._audit_due:
                await self.audit(with_account=fetched_at is not None and self._is_imported())
        except StoreError as error:
            if not self._failed:
                logger.warning("The account cannot be reconciled while the ledger cannot be read: {}", error)
            self._failed = True
        else:
            self._failed = False

    def _compare_equity(
        self, portfolio: KalshiPortfolio, as_of: int, fetched_at: int, deposited: Decimal, adjusted: Decimal
    ) -> None:
        self._found = found = reconcile(portfolio, net_deposits=deposited, adjustments=adjusted)
        self._as_of = as_of
        self._publish(float(found.gap))
        if abs(found.gap) <= self._tolerance:
            if self._gap_reported:
                logger.info("The account reconciles again: the gap is {:.2f} USD", found.gap)
            self._suspected_at, self._gap_reported = None, False
        elif self._suspected_at is None:
            self._suspected_at = as_of
            self._fetch_soon()
        elif not self._gap_reported and fetched_at > self._suspected_at and as_of > self._suspected_at:
            self._gap_reported = True
            logger.warning("The account does not reconcile: {}", _words(found))

    async def audit(self, *, with_account: bool) -> None:
        """Compare the ledger's facts with the sources' present totals; raises StoreError.

        What differs is compared again soon, and counts only when it differs then too.
        """
        fees, costs, collected = (
            await self._fees() if with_account else None,
            await self._costs(),
            await self._collected(),
        )
        whole = fees is not None and costs is not None
        found = [one for one in (fees, costs, collected) if one is not None]
        self._differences = tuple(found)
        if fees is not None and self._archived is None:
            self._archived = self._archived_fees(fees)
        wrong = {one.name: one for one in found if self._is_wrong(one)}
        # A reading that came while the facts of the one before were written differs once.
        differing = {name: one for name, one in wrong.items() if name in self._wrong}
        settled = whole and wrong.keys() == differing.keys()
        self._audit_due = self._monotonic() + (self._audit_every if settled else min(AGAIN, self._audit_every))
        self._wrong = frozenset(wrong)
        for name in sorted(differing.keys() - self._differing):
            logger.warning("The ledger differs from its source: {}", _differs(differing[name]))
        for name in sorted(self._differing - differing.keys()):
            logger.info("The ledger agrees with its source again: {}", name)
        self._differing = frozenset(differing)

    def _archived_fees(self, fees: Difference) -> Decimal:
        """The fees of fills that the upstream had archived before the first fetch: the ledger never has them."""
        if fees.amount < -self._tolerance:
            logger.info("Fills with {:.2f} USD of fees had been archived before this ledger began", -fees.amount)
        return min(ZERO, fees.amount)

    def _is_wrong(self, one: Difference) -> bool:
        expected = self._archived or ZERO if one.name == "fees" else ZERO
        return abs(one.amount - expected) > self._tolerance

    async def _fees(self) -> Difference | None:
        """The fees of all fills, and of all positions."""
        portfolio: KalshiPortfolio | None = self._latest(KALSHI)
        if portfolio is None or portfolio.importing is not None:
            return None
        stored = await self._facts.fill_fees()
        return Difference("fees", stored, portfolio.fees)

    async def _costs(self) -> Difference | None:
        """The cost of every day that the reading covers; it covers all once earlier days are imported."""
        spend: AnthropicSpend | None = self._latest(ANTHROPIC)
        if spend is None or spend.importing is not None:
            return None
        rows = await self._facts.costs(spend.since, spend.today)
        return Difference("costs", sum((row.amount for row in rows), ZERO), spend.total_spend)

    async def _collected(self) -> Difference | None:
        """The amount of all collected deals; an endpoint that gives totals only lists none."""
        revenue: Revenue | None = self._latest(JOHNS)
        if revenue is None or not revenue.lists_deals:
            return None
        stored = sum((deal.amount for deal in await self._facts.deals() if deal.status == "recognized"), ZERO)
        return Difference("collected", stored, revenue.collected)


def _words(found: Reconciliation) -> str:
    valued = (
        f", {found.valuation:.2f} of it from a different valuation of positions" if abs(found.valuation) >= CENT else ""
    )
    adjusted = f" and adjustments {found.adjustments:.2f}" if found.adjustments else ""
    return (
        f"equity {found.equity:.2f} less net deposits {found.net_deposits:.2f}{adjusted} is {found.gap:+.2f} USD off "
        f"P&L {found.pnl:.2f} less fees {found.fees:.2f}{valued}"
    )


def _differs(one: Difference) -> str:
    return f"{one.name} {one.stored:.2f} in the ledger, {one.upstream:.2f} at the source ({one.amount:+.2f} USD)"
