"""Where a trading account's settled markets are kept: they never change again, so they are read once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from pnl_backend.domain.markets import Known, ListRead, Markets
from pnl_backend.domain.readings import ClosedMarkets, MarketKey, Position


class MarketStore(Protocol):
    """The last known totals of every market of one account, and how far the lists of settled ones were read."""

    def closed_except(self, keys: Collection[MarketKey], subaccounts: Collection[int]) -> ClosedMarkets:
        """The sums of all markets of these subaccounts but those of `keys`."""

    def unsettled(self) -> Iterable[Position]:
        """The markets that had not settled when they were last seen."""

    def is_settled(self, key: MarketKey) -> bool: ...

    def list_read(self, name: str) -> ListRead | None: ...

    async def save(self, positions: Sequence[Position], read: ListRead) -> None:
        """Count one page of a list; StoreError if it could not be written, it counts all the same."""

    async def drop_unknown(self, listed: Collection[MarketKey]) -> Collection[MarketKey]:
        """Drop the markets that the account does not have: neither `listed` now nor in the lists that were saved.

        To be called when every list was read to its end; returns what was dropped. StoreError leaves all as it was.
        """


class MemoryMarkets:
    """Keeps them for as long as the process runs."""

    def __init__(self) -> None:
        self._markets = Markets()
        self._lists: dict[str, ListRead] = {}
        self.closed_except = self._markets.closed_except
        self.unsettled = self._markets.unsettled

    def is_settled(self, key: MarketKey) -> bool:
        known = self._markets.get(key)
        return known is not None and known.settled

    def list_read(self, name: str) -> ListRead | None:
        return self._lists.get(name)

    async def drop_unknown(self, listed: Collection[MarketKey]) -> Collection[MarketKey]:
        del listed  # everything here was listed
        return ()

    async def save(self, positions: Sequence[Position], read: ListRead) -> None:
        for position in positions:
            self._markets.put(position.key, Known.of(position))
        self._lists[read.name] = read
