"""The last known totals of every market of an account, with running sums: no question costs a pass over all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import ClosedMarkets, MarketKey, Position


class Known(NamedTuple):
    """What is known of one market: USD, and `quantity` in contracts. A `settled` one cannot change any more."""

    realized: Decimal = ZERO
    fees: Decimal = ZERO
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    settled: bool = False

    @classmethod
    def of(cls, position: Position) -> Known:
        """A position without its market price."""
        return cls(position.realized_pnl, position.fees, position.quantity, position.cost, position.settled)


@dataclass(frozen=True, slots=True)
class ListRead:
    """How far a list of settled markets was read; times in ms.

    `cursor` is where the next page begins, empty when the list was read to its end; `done` counts the rows of the
    pass that began at `began_at`, `saved_at` is when its last page was read. `complete_at` is when the last pass began
    that reached the end, None before the first one did.
    """

    name: str
    cursor: str
    done: int
    began_at: int
    saved_at: int
    complete_at: int | None = None


class Markets:
    """Totals by market and subaccount. One that is not settled is found without looking at the others."""

    def __init__(self) -> None:
        self._held: dict[MarketKey, Known] = {}
        self._unsettled: dict[MarketKey, Known] = {}
        self._sums: dict[int, ClosedMarkets] = {}

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: MarketKey) -> Known | None:
        return self._held.get(key)

    def items(self) -> list[tuple[MarketKey, Known]]:
        return list(self._held.items())

    def put(self, key: MarketKey, known: Known) -> None:
        """Remember a market in place of what was known of it."""
        before, sums = self._held.get(key), self._sums.get(key[1], ClosedMarkets())
        realized, fees = sums.realized_pnl + known.realized, sums.fees + known.fees
        if before is None:
            self._sums[key[1]] = ClosedMarkets(realized, fees, sums.count + 1)
        else:
            self._sums[key[1]] = ClosedMarkets(realized - before.realized, fees - before.fees, sums.count)
        self._held[key] = known
        if known.settled:
            self._unsettled.pop(key, None)
        else:
            self._unsettled[key] = known

    def drop(self, key: MarketKey) -> Known | None:
        """Forget a market; what was known of it."""
        known = self._held.get(key)
        if known is not None:
            self.put(key, Known(settled=True))
            del self._held[key]
        return known

    def clear(self) -> None:
        self._held.clear()
        self._unsettled.clear()
        self._sums.clear()

    def closed_except(self, keys: Collection[MarketKey], subaccounts: Collection[int] = (0,)) -> ClosedMarkets:
        """The sums of all markets of these subaccounts but those of `keys`; costs what `keys` cost."""
        given = [known for key in keys if key[1] in subaccounts and (known := self._held.get(key)) is not None]
        sums = [self._sums.get(number, ClosedMarkets()) for number in subaccounts]
        return ClosedMarkets(
            sum((one.realized_pnl for one in sums), ZERO) - sum((known.realized for known in given), ZERO),
            sum((one.fees for one in sums), ZERO) - sum((known.fees for known in given), ZERO),
            sum(one.count for one in sums) - len(given),
        )

    def unsettled(self) -> Iterator[Position]:
        """The markets that had not settled when they were last seen, without marks."""
        for (ticker, subaccount), known in self._unsettled.items():
            yield Position(
                ticker, known.quantity, known.cost, known.realized, known.fees, subaccount=subaccount, settled=False
            )
