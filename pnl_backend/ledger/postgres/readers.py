"""A few connections that only read, each used by one thread at a time; a lost one is made again."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg

from pnl_backend.errors import StoreError
from pnl_backend.ledger.addresses import shown
from pnl_backend.ledger.postgres.adapter import Raw, translated
from pnl_backend.ledger.postgres.address import connect
from pnl_backend.ledger.postgres.attempts import Lost
from pnl_backend.ledger.postgres.cutting import cut
from pnl_backend.ledger.postgres.problems import describe, is_lost
from pnl_backend.ledger.sql.connection import Shape

LONGEST_READ = 15.0
"""Seconds after which the connection of a read without an answer is closed."""
SLOW, PAUSE = 0.5, 1.0
"""After a connection that took so many seconds to fail, reads fail at once for so many."""


def _nothing(_failure: StoreError | None) -> None:
    """Default of `on_read`."""


class Readers:
    """A pool of `count` connections, made when they are needed; `on_read` is called after each read, on its thread."""

    def __init__(self, url: str, *, count: int = 3, on_read: Callable[[StoreError | None], None] = _nothing) -> None:
        self.name = shown(url)
        self._url = url
        self._on_read = on_read
        self._threads = ThreadPoolExecutor(max_workers=count, thread_name_prefix="ledger-reader")
        self._free: queue.LifoQueue[Raw | None] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(None)
        self._failed: tuple[float, StoreError] | None = None
        """Until when reads fail at once, and why."""
        self._closed = False

    async def read(
        self, sql: str, parameters: tuple[object, ...] = (), *, shape: Shape[Any] | None = None
    ) -> list[Any]:
        """Rows of one query, as tuples or as `shape` makes them; StoreError when the database cannot be read."""
        if self._closed:
            raise StoreError(f"{self.name} is closed")
        loop = asyncio.get_running_loop()
        running = _Running()
        timer = loop.call_later(LONGEST_READ, running.cut)
        try:
            return await loop.run_in_executor(self._threads, lambda: self._read(running, sql, parameters, shape))
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Close every connection after the running reads; later reads raise StoreError."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        while not self._free.empty():
            raw = self._free.get_nowait()
            if raw is not None:
                raw.close()

    def _read(self, running: _Running, sql: str, parameters: tuple[object, ...], shape: Shape[Any] | None) -> list[Any]:
        if self._closed:  # closed while this read waited
            raise StoreError(f"{self.name} is closed")
        raw = self._free.get()
        try:
            if raw is not None:
                with suppress(Lost):
                    return self._rows(raw, running, sql, parameters, shape)
                raw.close()
                raw = None
            raw = self._connect()
            try:
                return self._rows(raw, running, sql, parameters, shape)
            except Lost as lost:
                raise self._described(lost.error) from lost.error
        finally:
            running.raw = None
            self._free.put(None if raw is None or raw.closed else raw)

    def _rows(
        self, raw: Raw, running: _Running, sql: str, parameters: tuple[object, ...], shape: Shape[Any] | None
    ) -> list[Any]:
        running.raw = raw
        try:
            rows = raw.execute(translated(sql), parameters or None, binary=True).fetchall()
        except (psycopg.Error, OSError) as error:
            if is_lost(error) or raw.closed:
                raise Lost(error) from error
            raise self._described(error) from error
        self._on_read(None)
        return rows if shape is None else [shape(None, row) for row in rows]

    def _connect(self) -> Raw:
        began = time.monotonic()
        if self._failed is not None and began < self._failed[0]:
            raise StoreError(str(self._failed[1])) from self._failed[1].__cause__
        try:
            raw = connect(self._url, program="pnl-backend reader", read_only=True)
        except StoreError as failure:
            now = time.monotonic()
            self._failed = (now + PAUSE, failure) if now - began > SLOW else None
            self._on_read(failure)
            raise
        self._failed = None
        return raw

    def _described(self, error: psycopg.Error | OSError) -> StoreError:
        failure = describe(error, self.name)
        self._on_read(failure)
        return failure


class _Running:
    """A read that may take too long."""

    def __init__(self) -> None:
        self.raw: Raw | None = None

    def cut(self) -> None:
        if self.raw is not None:
            cut(self.raw)
