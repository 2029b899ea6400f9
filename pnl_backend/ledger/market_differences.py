"""Markets whose reported figures differ from those that their fills and settlements give.

Positions and facts come by separate calls, so a market that has just moved differs for a moment. A difference is
confirmed when a later reading shows the same one and the facts were fetched in between.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal

from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import MarketKey
from pnl_backend.domain.verification import Derived, MarketFigures, difference

NAMED = 5
"""Markets that the log and the health report name."""

_NOTHING, _NO_FACTS = MarketFigures(), Derived()


@dataclass(frozen=True, slots=True)
class _Suspect:
    """What differed as it was first seen, in a reading of `as_of` (ms)."""

    derived: Derived
    reported: MarketFigures
    as_of: int


class Differences:
    """Compares only what has moved: an account may have 20,000 markets. All amounts are in USD."""

    def __init__(self) -> None:
        self.derived: dict[MarketKey, Derived] = {}
        self.suspects: dict[MarketKey, _Suspect] = {}
        """Differences that were seen once."""
        self.unseen: dict[MarketKey, Decimal] = {}
        """Confirmed ones of markets of which nothing is held any more, and no settlement tells what was paid."""
        self._differing: dict[MarketKey, Decimal] = {}
        """All others that are confirmed."""
        self._without_fills: set[MarketKey] = set()
        """Those of them that have no fill at all."""
        self._reported: dict[MarketKey, MarketFigures] = {}
        self._unsettled: Set[MarketKey] = frozenset()
        self._scope: Collection[int] = ()

    @property
    def wrong(self) -> Mapping[MarketKey, Decimal]:
        """What differs although its facts are whole.

        Where a market has no fill at all, the upstream no longer has old ones, and every other may lack some too.
        """
        return {} if self._without_fills else self._differing

    @property
    def incomplete(self) -> Mapping[MarketKey, Decimal]:
        """What differs because facts are missing."""
        return self.unseen | self._differing if self._without_fills else self.unseen

    @property
    def has_incomplete(self) -> bool:
        return bool(self.unseen or self._without_fills)

    @property
    def lacks_fills(self) -> bool:
        return bool(self._without_fills)

    def is_paid(self, key: MarketKey) -> bool:
        """Whether a settlement tells what a market paid."""
        return self.derived.get(key, _NO_FACTS).is_paid

    def take(self, found: Mapping[MarketKey, MarketFigures], unsettled: Set[MarketKey]) -> set[MarketKey]:
        """Note what is reported now, and which markets may still change; returns those that have moved."""
        changed = {key: one for key, one in found.items() if self._reported.get(key, _NOTHING) != one}
        self._reported.update(changed)
        moved = changed.keys() | (unsettled ^ self._unsettled)
        self._unsettled = unsettled
        return moved

    def judge(self, touched: Collection[MarketKey], scope: Collection[int], *, as_of: int, fetched_at: int) -> None:
        """Compare what has moved or was seen to differ once; everything when the subaccounts of the scope change.

        The reading is of `as_of`, and all facts were fetched at `fetched_at` or later; both in ms.
        """
        keys = {*touched, *self.suspects}
        if scope != self._scope:
            keys |= self.derived.keys() | self._reported.keys()
            self._scope = scope
        for key in keys:
            derived, reported = self.derived.get(key, _NO_FACTS), self._reported.get(key, _NOTHING)
            amount = difference(derived, reported) if key[1] in scope else ZERO
            seen = self.suspects.pop(key, None)
            confirmed = self._differing.pop(key, ZERO) or self.unseen.pop(key, ZERO)
            self._without_fills.discard(key)
            if not amount:
                continue
            again = seen is not None and (seen.derived, seen.reported) == (derived, reported)
            if confirmed or (again and seen is not None and min(as_of, fetched_at) > seen.as_of):
                self._confirm(key, amount, derived)
            else:
                self.suspects[key] = seen if again and seen is not None else _Suspect(derived, reported, as_of)

    def _confirm(self, key: MarketKey, amount: Decimal, derived: Derived) -> None:
        if self._is_paid_out_unseen(key):
            self.unseen[key] = amount
            return
        self._differing[key] = amount
        if not derived.has_fills:
            self._without_fills.add(key)

    def _is_paid_out_unseen(self, key: MarketKey) -> bool:
        """Whether nothing is held any more, and no settlement tells what was paid: archived ones are in no list."""
        derived, reported = self.derived.get(key, _NO_FACTS), self._reported.get(key, _NOTHING)
        held = derived.has_fills and derived.quantity != 0
        return held and reported.quantity == 0 and not derived.is_paid and key not in self._unsettled


def named(amounts: Mapping[MarketKey, Decimal]) -> str:
    """The largest few by name and amount, and how many more there are."""
    # Not sorted: there may be 10,000, and this runs in the event loop.
    largest = heapq.nsmallest(NAMED, amounts.items(), key=lambda item: (-item[1], item[0]))
    named = [
        f"{ticker}{f' (subaccount {number})' if number else ''} by {amount:.2f} USD"
        for (ticker, number), amount in largest
    ]
    more = f" and {len(amounts) - NAMED} more" if len(amounts) > NAMED else ""
    return ", ".join(named) + more
