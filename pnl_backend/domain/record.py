"""A snapshot as the ledger keeps it: what was published, byte for byte, and its four sums in whole cents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """One committed snapshot.

    `at` is ms since the epoch; the four sums are the ledger feed's figures in cents, so that
    `net_cents == kalshi_cents + revenue_cents - costs_cents`. `data` is the snapshot's JSON exactly as clients saw
    it, `detail` the JSON of what the other views need beside it.
    """

    epoch: str
    seq: int
    at: int
    net_cents: int
    kalshi_cents: int
    costs_cents: int
    revenue_cents: int
    data: bytes
    detail: bytes
