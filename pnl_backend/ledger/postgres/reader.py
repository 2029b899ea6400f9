"""The ledger of a node that does not write it: everything can be read, as another node stores it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import date
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from psycopg.errors import UndefinedTable

from pnl_backend.domain.record import Record, Restatement
from pnl_backend.errors import StoreError
from pnl_backend.ledger.postgres.problems import may_pass
from pnl_backend.ledger.postgres.readers import Readers
from pnl_backend.ledger.postgres.schema import APPLICATION, VERSION
from pnl_backend.ledger.sql.condition import Condition
from pnl_backend.ledger.sql.connection import Connection, Shape, Work, nothing
from pnl_backend.ledger.sql.identity import Identity, Origin, unfinished
from pnl_backend.ledger.sql.numbering import Skips
from pnl_backend.ledger.sql.rollups import Calendar
from pnl_backend.ledger.sql.run import Run
from pnl_backend.ledger.sql.snapshots import Epochs
from pnl_backend.ledger.sql.store import LedgerStore

T = TypeVar("T")

_STATE = """
SELECT 'epoch' AS kind, first_seq AS one, 0 AS two, epoch AS name, '' AS text FROM epochs
UNION ALL SELECT 'skip', first_seq, last_seq, '', '' FROM skips
UNION ALL SELECT 'restatement', at, to_seq, source, reason FROM restatements
UNION ALL SELECT 'meta', 0, 0, key, value FROM meta
UNION ALL SELECT 'head', seq, fence, '', '' FROM head
ORDER BY kind, one
"""


class Reader(LedgerStore):
    """A ledger that is read. `epoch`, `last_seq` and the restatements are those of the last `refresh`.

    `latest`, `since`, `holds` and the searches for baselines refresh first; whatever writes raises StoreError.
    """

    _database: _ReadOnly

    def __init__(self, url: str, *, origin: Origin, clock: Callable[[], float], zone: ZoneInfo) -> None:
        self._origin: Origin = origin
        calendar = Calendar(zone)
        run = Run(now=lambda: int(clock() * 1000), catch_up=_as_it_is, first_run=None)
        condition = Condition(lambda: int(clock() * 1000), verb="read")
        database = _ReadOnly(url, condition)
        super().__init__(database, run, condition, clock=clock, calendar=calendar, synchronous="FULL")

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        origin: Origin,
        clock: Callable[[], float] = time.time,
        timezone: str = "UTC",
        tolerant: bool = False,
    ) -> Reader:
        """Open the ledger at `url`; StoreError if it cannot be read, is not ours, newer, older or of another origin.

        With `tolerant` it is opened while the database cannot be reached or holds no ledger yet: reads raise
        StoreError until it can be read.
        """
        reader = cls(url, origin=origin, clock=clock, zone=ZoneInfo(timezone))
        try:
            await reader.refresh()
        except StoreError as failure:
            if not tolerant or not _may_pass(failure):
                await reader.close()
                raise
        return reader

    @property
    def epoch(self) -> str:
        """The ledger's epoch; empty while it could not be read yet."""
        return "" if self._run.identity is None else self._run.identity.epoch

    @property
    def first_run(self) -> date:
        return self._run.known.first_run

    async def refresh(self) -> None:
        """Read what the writer changes: the epoch, the last number, skips and restatements. One short query."""
        rows = await self._database.read(_STATE)
        meta = {name: text for kind, _one, _two, name, text in rows if kind == "meta"}
        self._refuse(meta)
        epochs = [(one, name) for kind, one, _two, name, _text in rows if kind == "epoch"]
        skips = [(one, two) for kind, one, two, _name, _text in rows if kind == "skip"]
        taken = max([two for _one, two in skips] + [one for kind, one, *_ in rows if kind == "head"], default=0)
        if not epochs or "first_run" not in meta:
            raise _NoLedgerYet(f"{self._database.name} holds no ledger yet")
        first, epoch = max(epochs)
        run = self._run
        run.epochs, run.skips = Epochs(epochs), Skips(skips)
        run.restatements = tuple(
            Restatement(one, name, text, two) for kind, one, two, name, text in rows if kind == "restatement"
        )
        run.last_seq = run.offered = max(taken, first - 1)
        run.identity = Identity(epoch, run.last_seq, date.fromisoformat(meta["first_run"]))

    async def latest(self) -> Record | None:
        """The newest stored snapshot."""
        newest = await self.newest(1)
        return newest[0] if newest else None

    async def newest(self, limit: int) -> list[Record]:
        await self.refresh()
        return await super().newest(limit)

    async def since(self, epoch: str, seq: int, *, limit: int = 1000) -> list[Record] | None:
        await self.refresh()
        return await super().since(epoch, seq, limit=limit)

    async def holds(self, epoch: str, seq: int, last: int) -> bool:
        await self.refresh()
        return await super().holds(epoch, seq, last)

    async def last_complete_before(self, at_ms: int, configured: Collection[str]) -> Record | None:
        await self.refresh()
        return await super().last_complete_before(at_ms, configured)

    async def first_complete(self, from_ms: int, configured: Collection[str]) -> Record | None:
        await self.refresh()
        return await super().first_complete(from_ms, configured)

    async def secret(self) -> bytes:
        """The ledger's secret; StoreError if its writer has made none yet."""
        rows = await self._database.read("SELECT value FROM meta WHERE key = 'secret'")
        if not rows:
            raise StoreError("the ledger has no secret yet: the node that writes it makes one")
        return bytes.fromhex(rows[0][0])

    async def close(self) -> None:
        await self._database.close()

    def _refuse(self, meta: dict[str, Any]) -> None:
        name = self._database.name
        if meta.get("application") != APPLICATION:
            raise StoreError(f"{name} is not a ledger of this server: set DATABASE_URL to another database")
        if "moving" in meta:
            raise StoreError(unfinished(name))
        if int(meta["schema"]) != VERSION:
            what = "a newer" if int(meta["schema"]) > VERSION else "an older"
            raise StoreError(f"{name} was made by {what} version (schema {meta['schema']}, this one knows {VERSION})")
        if meta.get("origin", self._origin) != self._origin:
            raise StoreError(f"{name} holds {meta['origin']} figures, this server is {self._origin}")


class _NoLedgerYet(StoreError):
    """The schema is there, and nothing in it."""


class _ReadOnly:
    """Queries of a database that another node writes."""

    def __init__(self, url: str, condition: Condition) -> None:
        self._readers = Readers(url, on_read=condition.on_write)
        self.name = self._readers.name

    async def open(self, *, tolerant: bool = False) -> None:
        """Nothing to do: connections are made when they are needed."""

    async def write(self, work: Work[T], stored: Callable[[], None] = nothing) -> T:
        raise StoreError(f"this node only reads {self.name}")

    async def read(
        self, sql: str, parameters: tuple[object, ...] = (), *, shape: Shape[Any] | None = None
    ) -> list[Any]:
        return await self._readers.read(sql, parameters, shape=shape)

    async def close(self) -> None:
        await self._readers.close()


def _as_it_is(_connection: Connection) -> None:
    """A reader changes nothing."""


def _may_pass(failure: StoreError) -> bool:
    """Whether the ledger may be readable later: the database is away, or its writer has not made the ledger yet."""
    return may_pass(failure) or isinstance(failure.__cause__, UndefinedTable) or isinstance(failure, _NoLedgerYet)
