"""The ledger's connections to PostgreSQL: one that writes, on a thread of its own, and a few that read.

Failures are raised as StoreError; the next write connects again. While that takes long, writes fail at once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from pnl_backend.errors import Fenced, StoreError
from pnl_backend.ledger.addresses import shown
from pnl_backend.ledger.postgres import head, partitions, schema
from pnl_backend.ledger.postgres.adapter import Adapter, Raw
from pnl_backend.ledger.postgres.address import connect
from pnl_backend.ledger.postgres.attempts import Attempt, Lost, retrieved
from pnl_backend.ledger.postgres.cutting import cut
from pnl_backend.ledger.postgres.problems import describe, is_lost, may_pass
from pnl_backend.ledger.postgres.readers import Readers
from pnl_backend.ledger.postgres.standby import standby_of
from pnl_backend.ledger.sql.connection import Connection, Progress, Shape, Work, nothing, transaction
from pnl_backend.ledger.sql.identity import (
    Identity,
    Origin,
    establish,
    new_identity,
    read_identity,
    refuse_other_origin,
)

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that a write waits for a connection; it is made in the background then."""
LONGEST_WRITE = 10.0
"""Seconds after which the connection of a write without an answer is closed."""

_END_FORMER = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()"
)


class Database:
    """One ledger in a PostgreSQL database; the callbacks are those of `ledger.sqlite.database.Database`.

    With `fence` the ledger is claimed at the start, and a newer claim ends this one; without it nobody else may write.
    """

    def __init__(
        self,
        url: str,
        *,
        origin: Origin,
        fence: int | None,
        clock: Callable[[], float],
        progress: Progress,
        continued: Callable[[], Identity | None],
        opened: Callable[[Connection, Identity], None],
        on_write: Callable[[StoreError | None], None],
        on_standby: Callable[[Connection | None, Identity], None],
    ) -> None:
        self.name = shown(url)
        self.fence = fence
        self._url = url
        self._origin: Origin = origin
        self._clock = clock
        self._progress = progress
        self._continued = continued
        self._opened = opened
        self._on_write = on_write
        self._on_standby = on_standby
        self._program = f"pnl-backend {secrets.token_hex(6)}"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-writer")
        self._raw: Raw | None = None
        self._writer: Adapter | None = None
        self._connecting = False
        self._claimed = False
        self._held_fence = 0
        self.fenced: Fenced | None = None
        """Why this writer may not write any more; None as long as it may."""
        self._readers = Readers(url)
        self._closed = False

    async def open(self, *, tolerant: bool = False) -> None:
        """Connect, create or migrate the ledger, and claim it; StoreError says why that fails.

        With `tolerant` a database that cannot be reached or written is only read; every write tries again.
        """
        try:
            await self._on_thread(lambda: self._start(tolerant))
        except BaseException:
            self._closed = True
            self._thread.submit(self._release)
            self._thread.shutdown()
            raise

    async def write(self, work: Work[T], stored: Callable[[], None] = nothing) -> T:
        """Run `work` in one transaction on the writer's thread; see `ledger.sql.connection.Database`.

        Fenced when another node has claimed the ledger: nothing is written then, now and later.
        """
        attempt = Attempt()
        running = asyncio.ensure_future(self._on_thread(lambda: self._run(attempt, work, stored)))
        try:
            done, _ = await asyncio.wait((running,), timeout=PATIENCE)
            if not done and self._connecting and attempt.give_up():
                running.add_done_callback(retrieved)
                failure = StoreError(f"{self.name} does not answer; the server goes on trying")
                self._on_write(failure)
                raise failure
            return await running
        except asyncio.CancelledError:
            if not running.done():
                await asyncio.wait((running,))  # the transaction ends before this returns
            raise

    async def read(
        self, sql: str, parameters: tuple[object, ...] = (), *, shape: Shape[Any] | None = None
    ) -> list[Any]:
        """Rows of one query from a reader; StoreError when the database cannot be read."""
        return await self._readers.read(sql, parameters, shape=shape)

    async def maintain(self, work: Callable[[Adapter], T]) -> T:
        """Run work with transactions of its own, which may take long, on the writer's thread."""
        return await self._on_thread(lambda: self._maintained(work), longest=None)

    async def close(self) -> None:
        """Close every connection after what is in progress."""
        if self._closed:
            return
        self._closed = True
        await self._readers.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._release)
        self._thread.shutdown()

    async def _on_thread(self, work: Callable[[], T], *, longest: float | None = LONGEST_WRITE) -> T:
        if self._closed:
            raise StoreError(f"{self.name} is closed")
        future = asyncio.wrap_future(self._thread.submit(work))
        timer = None if longest is None else asyncio.get_running_loop().call_later(longest, self._cut)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait((future,))  # the thread must not use the connection after this
            future.exception()  # retrieved; `on_write` was called with it
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _cut(self) -> None:
        """End the connection that gives no answer; the thread that waits for it gets an error."""
        if self._raw is not None:
            cut(self._raw)

    # On the writer's thread

    def _start(self, tolerant: bool) -> None:
        try:
            self._reopen()
        except StoreError as failure:
            if not tolerant or self.fence is not None or not may_pass(failure):
                raise
            self._on_write(failure)
            standby_of(self._url, self._clock(), self._on_standby)

    def _run(self, attempt: Attempt, work: Work[T], stored: Callable[[], None]) -> T:
        if self._writer is not None:
            if not attempt.begin():
                raise StoreError(f"{self.name} did not answer")
            with suppress(Lost):
                return self._transact(work, stored)
        attempt.again()
        self._connecting = True
        try:
            self._reopen()
        except StoreError as failure:
            self._on_write(failure)
            raise
        finally:
            self._connecting = False
        if not attempt.begin():
            raise StoreError(f"{self.name} did not answer")
        try:
            return self._transact(work, stored)
        except Lost as lost:
            raise self._failed(lost.error) from lost.error

    def _transact(self, work: Work[T], stored: Callable[[], None]) -> T:
        """Run a transaction; Lost if the connection turned out to be closed before anything was done."""
        connection = self._ready()
        begun = False
        try:
            with transaction(connection):
                begun = True
                result = work(connection)
        except Fenced as failure:
            self.fenced = failure
            self._on_write(failure)
            raise
        except (psycopg.Error, OSError) as error:
            if is_lost(error) or connection.raw.closed:
                self._close_writer()
                if not begun:
                    raise Lost(error) from error
            raise self._failed(error) from error
        except BaseException:
            if connection.raw.closed or connection.in_transaction:
                self._close_writer()
            raise
        stored()
        self._on_write(None)
        return result

    def _failed(self, error: psycopg.Error | OSError) -> StoreError:
        failure = describe(error, self.name)
        self._on_write(failure)
        return failure

    def _maintained(self, work: Callable[[Adapter], T]) -> T:
        if self._writer is None:
            raise StoreError(f"{self.name} is not connected now")
        try:
            return work(self._ready())
        except (psycopg.Error, OSError) as error:
            self._close_writer()
            raise describe(error, self.name) from error

    def _ready(self) -> Adapter:
        if self._writer is None:
            raise StoreError(f"{self.name} is not connected now")
        return self._writer

    def _reopen(self) -> None:
        if self.fenced is not None:
            raise self.fenced
        raw = self._raw = connect(self._url, program=self._program)
        try:
            if self._claimed:  # a session of ours that PostgreSQL did not see end
                raw.execute(_END_FORMER, (self._program,))
            head.lock(raw, self.name, shared=self.fence is not None)
            schema.migrate(raw, self.name, self._progress)
            connection = Adapter(raw, self._refused)
            self._opened(connection, self._identified(connection))
        except Fenced as failure:
            self.fenced = failure
            raw.close()
            raise
        except (psycopg.Error, OSError) as error:
            raw.close()
            raise describe(error, self.name) from error
        except BaseException:
            raw.close()
            raise
        self._writer = connection

    def _identified(self, connection: Adapter) -> Identity:
        """Claim the ledger, give it an identity if it has none, and create the next partitions."""
        refuse_other_origin(connection, self._origin, self.name, "DATABASE_URL to another database")
        if not self._claimed:
            self._held_fence = connection.execute("SELECT fence FROM head").fetchone()[0]
        continued = self._continued()
        with transaction(connection):
            if self.fence is not None:
                head.claim(connection, self.fence, again=self._claimed)
            establish(connection, self._origin, new_identity(self._clock()) if continued is None else continued)
        self._claimed = True
        partitions.create_ahead(connection, int(self._clock() * 1000))
        return read_identity(connection)

    def _refused(self, held: int) -> Fenced | None:
        """Why a transaction may not begin while this fence has the ledger."""
        mine = self._held_fence if self.fence is None else self.fence
        return head.fenced(held) if held > mine else None

    def _close_writer(self) -> None:
        if self._writer is not None:
            with suppress(psycopg.Error, OSError):
                self._writer.raw.close()
            self._writer = None

    def _release(self) -> None:
        self._close_writer()
