"""A snapshot as the ledger keeps it: what was published, byte for byte, its four sums in whole cents, and its marks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of a snapshot's figures; names of sources are sorted.

    `complete`: each source that was configured had given a reading of its whole history; `whole` names the sources
    that had. `not_live` names those whose figures were not live, `estimated` is True where any figure is an estimate.
    """

    complete: bool = True
    whole: tuple[str, ...] = ()
    not_live: tuple[str, ...] = ()
    estimated: bool = False


UNMARKED = Marks()


@dataclass(frozen=True, slots=True)
class Restatement:
    """Why every snapshot up to `to_seq` is no baseline any more, though it stays as it was published; `at` in ms."""

    at: int
    source: str
    reason: str
    to_seq: int


class DayClose(NamedTuple):
    """The totals at the end of a business day, or now for today, in cents, from its last complete snapshot."""

    day: date
    revenue_cents: int
    expenses_cents: int
    restated: bool = False


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
    marks: Marks = UNMARKED
    restated: bool = False
    """Whether its history was found wrong later: such a snapshot is never compared with."""
