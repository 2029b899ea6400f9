"""Snapshots of one epoch for tests of the bus, each with figures of its own."""

from __future__ import annotations

from decimal import Decimal

from pnl_backend.domain.record import Record
from pnl_backend.wire.views import to_record
from tests.stream.stage import NOON, STEP, snapshot_of

EPOCH = "k3v9"
SOURCES = frozenset({"kalshi", "johns"})


def record(seq: int, *, epoch: str = EPOCH, collected: int | None = None) -> Record:
    """Snapshot `seq`, in which John collected as many USD, or so many."""
    amount = Decimal(seq if collected is None else collected)
    return to_record(snapshot_of(epoch, seq, NOON + STEP * seq, amount, degraded=seq % 5 == 0))


def records(first: int, last: int) -> list[Record]:
    return [record(seq) for seq in range(first, last + 1)]
