"""John's deals, and how they change: every few minutes one closes, or is withdrawn where the result is too high."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources

from pnl_backend.sources.simulated.simulation import RandomInterval, chance
from pnl_backend.sources.simulated.units import DAY, ZERO, dated

# Where the controller pulls: a net result of a few thousand dollars.
_TARGET = Decimal(6000)
_BAND = Decimal(4000)
_MOST_PENDING = Decimal(3500)
_EVERY = (150, 330)
_STATUSES = ("recognized", "pending", "pipeline")

_CLIENTS = ("Bluff Creek", "Ledgerline", "Ostara Foods", "Pale Harbour", "Rowan Mills", "Sundial Freight", "Tamarack")
_WORK = ("retainer", "data feed", "forecast review", "dashboard", "model audit")


@dataclass(slots=True)
class Deal:
    """One of John's deals in USD: `recognized` has been collected, `pending` invoiced, `pipeline` neither."""

    id: str
    name: str
    closed_date: str
    amount: Decimal
    status: str


@dataclass(frozen=True)
class JohnsTruth:
    """The exact figures that a correct server shows of the deals."""

    invoiced: Decimal
    collected: Decimal
    pipeline: Decimal


def shipped_deals(now: float) -> list[Deal]:
    """The deals shipped here, their dates counted from `now` (UTC seconds)."""
    rows = json.loads(resources.files(__package__).joinpath("deals.json").read_text("utf-8"))["deals"]
    return [
        Deal(name, title, dated(closed, now, "%Y-%m-%d"), Decimal(amount), status)
        for name, title, closed, amount, status in rows
    ]


class DealBook:
    """The deals; they change in steps only. `net` is the result of all sources, USD, which they follow."""

    def __init__(
        self, deals: list[Deal], *, rng: random.Random, clock: Callable[[], float], net: Callable[[], Decimal]
    ) -> None:
        self.deals = deals
        self._rng = rng
        self._clock = clock
        self._net = net
        self._moves = RandomInterval(rng, _EVERY)

    def step(self) -> None:
        if self._moves.is_due():
            self._move_deal()

    def truth(self) -> JohnsTruth:
        """Add the deals up by status."""
        recognized, pending, pipeline = (
            sum((deal.amount for deal in self.deals if deal.status == status), ZERO) for status in _STATUSES
        )
        return JohnsTruth(invoiced=recognized + pending, collected=recognized, pipeline=pipeline)

    def collected(self) -> Decimal:
        return self.truth().collected

    def remove_deal(self, deal_id: str) -> None:
        """Take a deal away as if it had never been; ValueError if there is none."""
        if all(deal.id != deal_id for deal in self.deals):
            raise ValueError(f"no deal {deal_id!r}")
        self.deals[:] = [deal for deal in self.deals if deal.id != deal_id]

    def set_deal(self, deal_id: str, *, amount: Decimal | None, status: str | None, name: str | None) -> None:
        """Change a deal or add it; ValueError for a status that deals do not have."""
        if status is not None and status not in _STATUSES:
            raise ValueError(f"no such status: {status}")
        deal = next((held for held in self.deals if held.id == deal_id), None)
        if deal is None:
            deal = Deal(deal_id, deal_id, _iso_date(self._clock()), ZERO, "recognized")
            self.deals.append(deal)
        deal.amount = deal.amount if amount is None else amount
        deal.status = status or deal.status
        deal.name = name or deal.name

    def _move_deal(self) -> None:
        """A deal closes, or, where the result has run ahead, a payment is returned or an order withdrawn."""
        rng = self._rng
        good = rng.random() < chance((_TARGET - self._net()) / _BAND)
        pending, pipeline, paid = (
            [deal for deal in self.deals if deal.status == status] for status in ("pending", "pipeline", "recognized")
        )
        crowded = sum((deal.amount for deal in pending), ZERO) > _MOST_PENDING
        if good and pending and (crowded or not pipeline or rng.random() < 0.6):
            self._turn(rng.choice(pending), "recognized")
        elif good and pipeline:
            self._turn(rng.choice(pipeline), "pending")
        elif pending and (crowded or not paid):
            self._turn(rng.choice(pending), "pipeline")
        elif paid:
            # The newest payment is returned: the invoice remains, the amount is not collected.
            self._turn(max(paid, key=lambda deal: (deal.closed_date, deal.id)), "pending")
        if len(pipeline) < 4 and len(self.deals) < 200:
            self._offer_deal()

    def _turn(self, deal: Deal, status: str) -> None:
        days = 14 if status == "pipeline" else 0
        deal.status, deal.closed_date = status, _iso_date(self._clock() + days * DAY)

    def _offer_deal(self) -> None:
        rng = self._rng
        name = f"{rng.choice(_CLIENTS)} {rng.choice(_WORK)}"
        amount = Decimal(rng.randint(180, 1600)) + Decimal(rng.choice((0, 0, 25, 50, 75))) / 100
        when = _iso_date(self._clock() + rng.randint(3, 30) * DAY)
        numbers = [int(deal.id[2:]) for deal in self.deals if deal.id[2:].isdigit()]
        self.deals.append(Deal(f"d-{max(numbers, default=100) + 1}", name, when, amount, "pipeline"))


def _iso_date(at: float) -> str:
    """A UTC date as YYYY-MM-DD."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
