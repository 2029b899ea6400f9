"""The ledger's connections: one that writes and checkpoints, on a thread of its own, and a few query-only readers.

SQLite up to 3.51.2 can corrupt a WAL database when two connections write or checkpoint at once, so only the writer
does either. Failures are raised as StoreError, and the next write tries to recover.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from loguru import logger

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.connection import Connection, Progress, Shape, Work, nothing
from pnl_backend.ledger.sql.identity import Identity, Origin
from pnl_backend.ledger.sqlite import ledger_file
from pnl_backend.ledger.sqlite.ledger_file import Synchronous
from pnl_backend.ledger.sqlite.problems import describe, is_harmless
from pnl_backend.ledger.sqlite.readers import Readers
from pnl_backend.ledger.sqlite.standby import Standby, may_pass

T = TypeVar("T")

CHECKPOINT_EVERY = 200
"""Transactions between two checkpoints: the log stays below a few MB, and no append waits for a long checkpoint."""


class Database:
    """One ledger file and its connections.

    `continued` returns the identity that a new file gets. `opened` is called with the file's identity after every
    opening, and may refuse it with StoreError. `on_standby` is called with the identity of a run that cannot write the
    ledger. `on_write` is called after every write: with the failure, or None when it was stored. All of them run on
    the writer's thread.
    """

    def __init__(
        self,
        path: Path,
        *,
        origin: Origin,
        synchronous: Synchronous,
        busy_timeout_ms: int,
        clock: Callable[[], float],
        progress: Progress,
        continued: Callable[[], Identity | None],
        opened: Callable[[Connection, Identity], None],
        on_write: Callable[[StoreError | None], None],
        on_standby: Callable[[Connection, Identity], None],
    ) -> None:
        self._on_standby = on_standby
        self._standby: Standby | None = None
        self.path = path
        self._origin: Origin = origin
        self._synchronous: Synchronous = synchronous
        self._busy_timeout_ms = busy_timeout_ms
        self._clock = clock
        self._progress = progress
        self._continued = continued
        self._opened = opened
        self._on_write = on_write
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-writer")
        self._writer: sqlite3.Connection | None = None
        self._files: ledger_file.Files = ()
        self._lock: int | None = None
        self._since_checkpoint = 0
        self._readers = Readers(path, busy_timeout_ms=busy_timeout_ms)
        self._closed = False

    async def open(self, *, tolerant: bool = False) -> None:
        """Lock the file, create or migrate it; StoreError says what is wrong with it.

        With `tolerant` a file that cannot be written, for lack of permission or space, is only read; every write tries
        again to open it for writing.
        """
        try:
            await self._on_thread(lambda: self._start(tolerant))
            await self._readers.open()
        except BaseException:
            self._closed = True
            self._thread.submit(self._release)
            self._thread.shutdown()
            raise

    async def write(self, work: Work[T], stored: Callable[[], None] = nothing) -> T:
        """Run `work` in one transaction on the writer's thread; it is durable when this returns.

        `stored` runs on that thread after the commit. A cancelled caller waits until the transaction has ended.
        StoreError means that the transaction was rolled back, or that its commit is not confirmed.
        """
        try:
            result = await self._on_thread(lambda: self._transact(work, stored))
        except _Lost:
            async with self._readers.paused():  # an open reader would use the old log's index with the new log
                result = await self._on_thread(lambda: self._mend(work, stored))
        self._since_checkpoint += 1
        if self._since_checkpoint >= CHECKPOINT_EVERY:
            self._since_checkpoint = 0
            self._thread.submit(self._checkpoint)
        return result

    async def read(
        self, sql: str, parameters: tuple[object, ...] = (), *, shape: Shape[Any] | None = None
    ) -> list[Any]:
        """Rows of one query from a reader; StoreError when the file cannot be read."""
        return await self._readers.read(sql, parameters, shape=shape)

    async def close(self) -> None:
        """Close the readers, then the writer: the last connection to close checkpoints."""
        if self._closed:
            return
        self._closed = True
        await self._readers.close()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._release)
        self._thread.shutdown()

    async def _on_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        future = asyncio.wrap_future(self._thread.submit(work))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait((future,))  # the thread must not use the connections after this
            future.exception()  # retrieved; `on_write` was called with it
            raise

    # On the writer's thread

    def _start(self, tolerant: bool) -> None:
        try:
            self._reopen()
        except StoreError as failure:
            if not tolerant or not may_pass(failure):
                raise
            self._on_write(failure)
            self._standby = Standby(self.path)
            self._readers.uri = self._standby.uri
            self._on_standby(self._standby.connection, self._standby.identity(self.path, self._clock()))

    def _transact(self, work: Work[T], stored: Callable[[], None]) -> T:
        connection = self._writer
        if connection is None or ledger_file.on_disk(self.path) != self._files:
            raise _Lost
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._give_up(connection, drop=not is_harmless(error))
            failure = describe(error, self.path)
            self._on_write(failure)
            raise failure from error
        except BaseException:
            self._give_up(connection, drop=False)
            raise
        stored()
        self._on_write(None)
        return result

    def _give_up(self, connection: sqlite3.Connection, *, drop: bool) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            drop = True
        if (
            drop and ledger_file.on_disk(self.path) == self._files
        ):  # the content of a deleted file is accessible only by this connection
            self._close_writer()

    def _mend(self, work: Work[T], stored: Callable[[], None]) -> T:
        with suppress(_Lost):
            return self._transact(work, stored)
        try:
            self._reopen()
        except StoreError as failure:
            self._on_write(failure)
            raise
        return self._transact(work, stored)

    def _reopen(self) -> None:
        try:
            if self._lock is None:
                self._lock = ledger_file.hold(self.path)
            self._drop_writer()
            ledger_file.create(self.path)
            connection = ledger_file.connect(
                self.path, synchronous=self._synchronous, busy_timeout_ms=self._busy_timeout_ms
            )
            try:
                identity = ledger_file.identify(
                    connection,
                    self.path,
                    origin=self._origin,
                    now=self._clock(),
                    continued=self._continued(),
                    progress=self._progress,
                )
                self._opened(connection, identity)
            except BaseException:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise describe(error, self.path) from error
        self._end_standby()
        self._writer = connection
        self._files = ledger_file.on_disk(self.path)

    def _drop_writer(self) -> None:
        """Close a writer whose files were deleted or replaced; their content is first restored, or saved beside."""
        if self._writer is None:
            return
        saved = None
        if ledger_file.is_blank(self.path):
            how = "replaced by an empty file" if self.path.exists() else "deleted"
            logger.error("The database file {} was {}: writing it again from its open connection", self.path, how)
            saved = ledger_file.rescue(self._writer, self.path)
        elif self._replaced_for_good():
            self._keep_aside(self._writer)
        with suppress(sqlite3.Error):  # closing alone does not write the log back into a file that was moved
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._close_writer()
        ledger_file.remove_leftovers(self.path, self._files)
        if saved is not None:
            saved.rename(self.path)

    def _replaced_for_good(self) -> bool:
        """Whether another file is at the path and ours has no name any more: only our connection can read it."""
        return ledger_file.on_disk(self.path)[0] != self._files[0] and not ledger_file.is_linked(self._files[0])

    def _keep_aside(self, writer: sqlite3.Connection) -> None:
        saved = ledger_file.rescue(writer, self.path)
        if saved is not None:
            aside = ledger_file.dated(self.path, "replaced", self._clock())
            saved.rename(aside)
            logger.error("The database file {} was replaced; what it held is kept as {}", self.path, aside)

    def _checkpoint(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            logger.warning("Checkpoint postponed: {}", describe(error, self.path))

    def _close_writer(self) -> None:
        """Close it; the last connection writes the log back into the file and removes the log."""
        if self._writer is not None:
            with suppress(sqlite3.Error):
                self._writer.close()
            self._writer = None

    def _end_standby(self) -> None:
        """Let the readers use the file itself from now on."""
        if self._standby is not None:
            self._standby.connection.close()
            self._standby = self._readers.uri = None

    def _release(self) -> None:
        self._close_writer()
        self._end_standby()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class _Lost(Exception):
    """The writer is gone, or its files are no longer the ones in the directory."""
