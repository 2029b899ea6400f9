"""The account's markets in the ledger: their last known totals in memory and on disk, and how far lists were read.

What cannot be written is kept in memory, counts there, and is written with the next transaction that succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock

from loguru import logger

from pnl_backend.domain.markets import Known, ListRead, Markets
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import ClosedMarkets, MarketKey, Position
from pnl_backend.ledger.sql import unconfirmed
from pnl_backend.ledger.sql.connection import Connection, Database

_NOTHING = Known()


@dataclass(frozen=True, slots=True)
class Changes:
    """Totals and lists that one transaction writes."""

    markets: dict[MarketKey, Known] = field(default_factory=dict)
    lists: dict[str, ListRead] = field(default_factory=dict)


class HeldMarkets:
    """The markets of one run. Used by the loop and by the writer's thread, therefore the lock."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._markets = Markets()
        self._lists: dict[str, ListRead] = {}
        self._unwritten = Changes()
        self._dropped: dict[MarketKey, Known] = {}

    def load(self, connection: Connection) -> None:
        """Read what the file holds; what is only in memory stays."""
        rows = connection.execute("SELECT ticker, subaccount, realized, fees, quantity, cost, settled FROM positions")
        lists = connection.execute("SELECT name, cursor, done, began_at, saved_at, complete_at FROM imports").fetchall()
        with self._lock:
            for ticker, subaccount, *amounts, settled in rows:
                if (ticker, subaccount) not in self._unwritten.markets:
                    realized, fees, quantity, cost = map(_amount, amounts)
                    self._markets.put((ticker, subaccount), Known(realized, fees, quantity, cost, bool(settled)))
            self._lists = {row[0]: ListRead(*row) for row in lists} | self._unwritten.lists

    def forget(self) -> None:
        """Remove everything from memory."""
        with self._lock:
            self._markets.clear()
            self._lists.clear()
            self._unwritten = Changes()

    def changes(self, positions: Iterable[Position] = ()) -> Changes:
        """What differs from the file: what could not be written, and those `positions` that moved; no market prices."""
        with self._lock:
            given = {position.key: Known.of(position) for position in positions}
            given = {key: known for key, known in given.items() if self._dropped.get(key) != known}
            moved = {key: known for key, known in given.items() if (self._markets.get(key) or _NOTHING) != known}
            return Changes(self._unwritten.markets | moved, dict(self._unwritten.lists))

    def everything(self) -> Changes:
        """All that is in memory, for a new file."""
        with self._lock:
            return Changes(dict(self._markets.items()), dict(self._lists))

    def put(self, positions: Iterable[Position], read: ListRead, *, whole: bool) -> None:
        """Count these rows of a list from now on; with the next `changes` all are written, or those that differ."""
        rows = {position.key: Known.of(position) for position in positions}
        with self._lock:
            changed = {key: known for key, known in rows.items() if whole or self._markets.get(key) != known}
            for key, known in changed.items():
                self._markets.put(key, known)
            self._lists[read.name] = read
            self._unwritten.markets.update(changed)
            self._unwritten.lists[read.name] = read

    def stored(self, changes: Changes) -> None:
        """The changes were committed."""
        with self._lock:
            for key, known in changes.markets.items():
                waiting = self._unwritten.markets.get(key)
                if waiting is None or waiting is known:
                    self._unwritten.markets.pop(key, None)
                    self._markets.put(key, known)
            for name, read in changes.lists.items():
                if self._unwritten.lists.get(name) is read:
                    del self._unwritten.lists[name]

    def drop(self, keys: Iterable[MarketKey]) -> None:
        """Remove markets that are no longer in the file; a snapshot of an earlier reading does not bring them back."""
        with self._lock:
            for key in keys:
                known = self._markets.drop(key)
                if known is not None:
                    self._dropped[key] = known
                self._unwritten.markets.pop(key, None)

    def closed_except(self, keys: Collection[MarketKey], subaccounts: Collection[int] = (0,)) -> ClosedMarkets:
        with self._lock:
            return self._markets.closed_except(keys, subaccounts)

    def unsettled(self) -> list[Position]:
        with self._lock:
            return list(self._markets.unsettled())

    def is_settled(self, key: MarketKey) -> bool:
        known = self._markets.get(key)
        return known is not None and known.settled

    def list_read(self, name: str) -> ListRead | None:
        return self._lists.get(name)


def write_markets(connection: Connection, changes: Changes, at: int) -> None:
    """Write changes; after the commit `stored` must be called with them."""
    connection.executemany(
        "INSERT INTO positions (ticker, subaccount, changed_at, realized, fees, quantity, cost, settled)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ticker, subaccount) DO UPDATE SET"
        " changed_at = excluded.changed_at, realized = excluded.realized, fees = excluded.fees,"
        " quantity = excluded.quantity, cost = excluded.cost, settled = excluded.settled",
        [(*key, at, *map(str, known[:4]), known.settled) for key, known in changes.markets.items()],
    )
    connection.executemany(
        "INSERT INTO imports (name, cursor, done, began_at, saved_at, complete_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, done = excluded.done,"
        " began_at = excluded.began_at, saved_at = excluded.saved_at, complete_at = excluded.complete_at",
        [(r.name, r.cursor, r.done, r.began_at, r.saved_at, r.complete_at) for r in changes.lists.values()],
    )


class KnownMarkets:
    """The markets as the source of the account uses them; see `pnl_backend.sources.markets.MarketStore`."""

    def __init__(self, database: Database, held: HeldMarkets) -> None:
        self._database = database
        self._held = held
        self._all_confirmed = False
        self.closed_except = held.closed_except
        self.unsettled = held.unsettled
        self.is_settled = held.is_settled
        self.list_read = held.list_read

    async def save(self, positions: Sequence[Position], read: ListRead) -> None:
        """Count one page of a list, and write it; StoreError if that must wait, the page counts all the same."""
        self._held.put(positions, read, whole=not self._all_confirmed)
        changes = self._held.changes()
        await self._database.write(
            lambda connection: write_markets(connection, changes, read.saved_at), lambda: self._held.stored(changes)
        )

    async def drop_unknown(self, listed: Collection[MarketKey]) -> Collection[MarketKey]:
        """Set aside the markets of the time before accounts were noted that are neither `listed` nor were imported."""
        if self._all_confirmed:
            return ()
        dropped: list[MarketKey] = []
        if ("positions",) in await self._database.read(unconfirmed.KINDS):
            at = int(time.time() * 1000)
            dropped = await self._database.write(
                lambda connection: unconfirmed.set_aside_markets(connection, listed, at)
            )
            self._held.drop(dropped)
        if dropped:
            logger.warning("Set aside {} markets of the ledger that the account does not have", len(dropped))
        self._all_confirmed = True
        return dropped


def _amount(held: str | Decimal) -> Decimal:
    """Most amounts of settled markets are zero; one object serves them all."""
    return ZERO if held in {"0", ZERO} else Decimal(held)
