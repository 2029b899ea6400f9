"""Where the ledger is: in a SQLite file, or in the PostgreSQL database of `DATABASE_URL`.

What PostgreSQL needs is imported when it is used, because most servers do without.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from pnl_backend.domain.ledger_facts import Adjustment
from pnl_backend.errors import StoreError
from pnl_backend.ledger.addresses import shown
from pnl_backend.ledger.protocol import Ledger
from pnl_backend.ledger.sql import adjustments
from pnl_backend.ledger.sql.accounts import KnownAccounts
from pnl_backend.ledger.sql.connection import Connection, Progress, Reads, nothing
from pnl_backend.ledger.sql.history import Ranges
from pnl_backend.ledger.sql.identity import Origin
from pnl_backend.ledger.sql.imported import Imports
from pnl_backend.ledger.sql.rollups import Calendar
from pnl_backend.ledger.sqlite import Store as SqliteStore
from pnl_backend.ledger.sqlite import exclusive as sqlite_exclusive
from pnl_backend.ledger.sqlite.ledger_file import Synchronous, is_blank
from pnl_backend.ledger.sqlite.reading import readers_of as sqlite_readers


@dataclass(frozen=True, slots=True)
class Location:
    """The file at `path`, or the database at `url` if there is one; as text it names neither user nor password."""

    path: Path
    url: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.url is None else shown(self.url)

    async def open(
        self, *, origin: Origin, timezone: str, synchronous: Synchronous = "FULL", tolerant: bool = False
    ) -> Ledger:
        """Open the ledger to write it, created if it is missing; StoreError while a server runs on it."""
        if self.url is None:
            return await SqliteStore.open(
                self.path, origin=origin, timezone=timezone, synchronous=synchronous, tolerant=tolerant
            )
        from pnl_backend.ledger import postgres

        return await postgres.Store.open(self.url, origin=origin, timezone=timezone, tolerant=tolerant)

    async def open_existing(self, *, origin: Origin, timezone: str) -> Ledger:
        """The same; StoreError if there is no ledger yet."""
        if await self._is_missing():
            raise StoreError(f"there is no ledger at {self}")
        return await self.open(origin=origin, timezone=timezone)

    async def _is_missing(self) -> bool:
        if self.url is None:
            return is_blank(self.path)
        from pnl_backend.ledger import postgres

        return not (await postgres.head_of(self.url)).epoch

    def readers(self) -> AbstractAsyncContextManager[Reads]:
        """Queries beside a running server; StoreError if the ledger is missing, not ours, newer or older."""
        if self.url is None:
            return sqlite_readers(self.path)
        from pnl_backend.ledger.postgres.reading import readers_of

        return readers_of(self.url)

    def exclusive(
        self, *, origin: Origin, timezone: str, now: float, progress: Progress
    ) -> AbstractContextManager[Connection]:
        """The ledger for this process alone, created if missing and migrated if older, on this thread.

        StoreError while a server runs on it, and for a ledger that is not ours, newer, or of another origin.
        """
        if self.url is None:
            return sqlite_exclusive.opened(self.path, origin=origin, timezone=timezone, now=now, progress=progress)
        from pnl_backend.ledger.postgres import exclusive

        return exclusive.opened(self.url, origin=origin, timezone=timezone, now=now, progress=progress)

    @contextmanager
    def importing(self, *, timezone: str, now: float, progress: Progress) -> Iterator[Imports]:
        """The ledger of real figures, for an import alone; see `exclusive`."""
        with self.exclusive(origin="live", timezone=timezone, now=now, progress=progress) as connection:
            finish = nothing if self.url is not None else partial(sqlite_exclusive.keep_log_short, connection)
            yield Imports(connection, Calendar(ZoneInfo(timezone)), int(now * 1000), finish)

    @asynccontextmanager
    async def history(self, *, timezone: str) -> AsyncIterator[Ranges]:
        """The ledger's ranges, read beside a running server."""
        async with self.readers() as readers:
            yield Ranges(readers, Calendar(ZoneInfo(timezone)))

    @asynccontextmanager
    async def accounts(self) -> AsyncIterator[KnownAccounts]:
        """The ledger's accounts, read beside a running server."""
        async with self.readers() as readers:
            yield KnownAccounts(readers)

    async def adjustments(self) -> list[Adjustment]:
        """The ledger's adjustments, oldest first, read beside a running server."""
        async with self.readers() as readers:
            return [adjustments.adjustment(row) for row in await readers.read(adjustments.ALL)]
