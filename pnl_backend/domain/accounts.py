"""The account whose facts the ledger holds, one on one host for each source, and facts by which it is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from pnl_backend.domain.ledger_facts import Fill, Transfer


@dataclass(frozen=True, slots=True)
class Account:
    """One account of one host.

    `id` is the upstream's own id of it, None where it gives none. `name` identifies the account in the ledger and in
    the cache: the id, or a random text that was made when the ledger first met the account.
    """

    host: str
    id: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sample of the facts that the ledger holds of a source; the account that they are of has them.

    `fills` from the newest to the oldest, `positions` are realized profit and fees by ticker, `deals` ids, `costs` USD
    by closed day.
    """

    fills: tuple[Fill, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    positions: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    deals: tuple[str, ...] = ()
    costs: Mapping[date, Decimal] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fills or self.transfers or self.positions or self.deals or self.costs)
