"""What changed between two snapshots on the ledger feed, in whole cents."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import trend


@dataclass(frozen=True, slots=True)
class Sums:
    """The ledger feed's four sums in cents, with their place in the sequence and their time in ms."""

    seq: int
    at: int
    net: int
    kalshi: int
    costs: int
    revenue: int


@dataclass(frozen=True, slots=True)
class Delta:
    """The change from `prev_seq` to `seq`, in cents; `change_percent` is of the net, two decimals."""

    seq: int
    prev_seq: int
    at: int
    net: int
    kalshi: int
    costs: int
    revenue: int
    change_percent: Decimal

    @property
    def is_empty(self) -> bool:
        """True when nothing changed by a cent."""
        return not (self.net or self.kalshi or self.costs or self.revenue)


def sums(record: Record) -> Sums:
    return Sums(record.seq, record.at, record.net_cents, record.kalshi_cents, record.costs_cents, record.revenue_cents)


def diff(previous: Sums, current: Sums) -> Delta:
    return Delta(
        seq=current.seq,
        prev_seq=previous.seq,
        at=current.at,
        net=current.net - previous.net,
        kalshi=current.kalshi - previous.kalshi,
        costs=current.costs - previous.costs,
        revenue=current.revenue - previous.revenue,
        change_percent=trend(Decimal(current.net), Decimal(previous.net)),
    )
