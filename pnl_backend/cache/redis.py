"""The shared tier: Redis, with a limit of 250 ms a call; its failures never fail a request.

A background probe decides whether Redis is up. While it is down, calls return at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from loguru import logger

from pnl_backend.cache.base import Entry, TierDown, TierError
from pnl_backend.domain.readings import Tier
from pnl_backend.redis_client import BATCH, FAILURES, Redis, connect, count, is_refusal, read, reason, sweep
from pnl_backend.wire.operations import TierStatus

Result = TypeVar("Result")

CALL_TIMEOUT = 0.25
SWEEP_TIMEOUT = 2.0
PROBE_INTERVAL = 0.5
COUNT_INTERVAL = 10.0
POOL_SIZE = 16
READ_TOGETHER = 100
MAX_OWED = 1000


class RedisTier:
    """Values under `prefix`, unencoded: JSON that `redis-cli` shows and that other programs can read.

    A reader checks the shape of each value, because other programs can write here too.
    Keys that could not be written or deleted while Redis was down are deleted before the tier counts as connected
    again, so that no outdated value is read.
    """

    name: Tier = "redis"

    def __init__(
        self,
        *,
        url: str | None,
        prefix: str = "pnl:",
        call_timeout: float = CALL_TIMEOUT,
        probe_interval: float = PROBE_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix = prefix
        self._call_timeout = call_timeout
        self._probe_interval = probe_interval
        self._clock = clock
        self._client = connect(url, POOL_SIZE, call_timeout) if url else None
        # The probe has a connection of its own: a pool that is merely busy must not count as a failed server.
        self._prober = connect(url, 1, call_timeout) if url else None
        self.status: TierStatus = "down" if url else "disabled"
        self._trusted = False
        self._announced = False
        self._wake = asyncio.Event()
        self._closed = False
        self._probing: asyncio.Task[None] | None = None
        self._asked: list[tuple[str, asyncio.Future[Entry | None]]] = []
        self._reading: asyncio.Task[None] | None = None
        self._owed: set[str] = set()
        self._owes_all = False
        self._down_since = 0.0
        self._skipped = 0
        self._size: int | None = None
        self._counted_at = float("-inf")

    async def open(self) -> None:
        """Probe once (at most one call's time) and start the background probe."""
        if self._client is None:
            return
        self._down_since = self._clock()
        await self._probe()
        self._probing = asyncio.create_task(self._keep_probing(), name="redis-probe")

    async def get(self, key: str) -> Entry | None:
        self._refuse_while_down()
        answer: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
        self._asked.append((key, answer))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_asked(), name="redis-read")
        return await answer

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        async def write(client: Redis) -> object:
            return await client.set(self._prefix + key, value, px=max(1, round(ttl * 1000)))

        try:
            await self._call(write)
        except TierError:
            self._owe(key)
            raise

    async def delete(self, key: str) -> None:
        async def remove(client: Redis) -> object:
            return await client.unlink(self._prefix + key)

        try:
            await self._call(remove)
        except TierError:
            self._owe(key)
            raise

    async def delete_prefix(self, prefix: str) -> None:
        try:
            await self._call(partial(sweep, prefix=self._prefix + prefix), timeout=SWEEP_TIMEOUT)
        except TierError:
            self._owes_all = True
            raise

    async def clear(self) -> None:
        await self.delete_prefix("")

    async def close(self) -> None:
        self._closed = True
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
            self._probing = None
        if self.status != "disabled":
            self.status, self._trusted = "down", False
        if self._reading is not None:
            await self._reading
        for client in (self._client, self._prober):
            if client is not None:
                with contextlib.suppress(*FAILURES):
                    await client.aclose()
                    await client.connection_pool.disconnect()

    def size(self) -> int | None:
        return self._size

    async def _read_asked(self) -> None:
        """Answer all waiting reads with one round trip, until none is waiting."""
        while self._asked:
            asked, self._asked = self._asked[:READ_TOGETHER], self._asked[READ_TOGETHER:]
            keys = [self._prefix + key for key, _ in asked]
            try:
                found = await self._call(partial(read, keys=keys))
            except TierError as error:
                for _, answer in asked:
                    if not answer.done():
                        answer.set_exception(type(error)(str(error)))
                continue
            for (_, answer), (ttl_ms, stored) in zip(asked, found, strict=True):
                if answer.done():
                    continue
                try:
                    answer.set_result(_entry(ttl_ms, stored))
                except TierError as error:
                    answer.set_exception(error)

    def _refuse_while_down(self) -> None:
        if not self._trusted:
            self._skipped += 1
            raise TierDown("Redis is down")

    async def _call(self, operation: Callable[[Redis], Awaitable[Result]], *, timeout: float | None = None) -> Result:
        self._refuse_while_down()
        assert self._client is not None  # noqa: S101 - calls are made only with a URL
        try:
            async with asyncio.timeout(timeout or self._call_timeout):
                return await operation(self._client)
        except Exception as error:
            # An error reply comes from a server that is up; any other error of the client library counts as down.
            if not is_refusal(error):
                self._trusted = False
                self._wake.set()
            raise TierError(f"Redis: {reason(error)}") from error

    def _owe(self, key: str) -> None:
        self._owed.add(key)
        if len(self._owed) > MAX_OWED:
            self._owed.clear()
            self._owes_all = True

    async def _keep_probing(self) -> None:
        while not self._closed:
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ends this task.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._probe_interval):
                    await self._wake.wait()
            self._wake.clear()
            await self._probe()

    async def _probe(self) -> None:
        assert self._prober is not None  # noqa: S101 - probing starts only where there is a URL
        try:
            async with asyncio.timeout(self._call_timeout):
                await self._prober.ping()
            await self._settle(self._prober)
        except Exception as error:  # the probe must continue after any error
            await self._mark_down(error)
        else:
            self._mark_up()

    async def _settle(self, client: Redis) -> None:
        """Make the pending deletions, then count our keys at intervals; both before the tier is used."""
        async with asyncio.timeout(SWEEP_TIMEOUT):
            if self._owes_all:
                await sweep(client, self._prefix)
                self._owes_all = False
                self._owed.clear()
            while self._owed:
                batch = [*self._owed][:BATCH]
                await client.unlink(*(self._prefix + key for key in batch))
                self._owed.difference_update(batch)
            if self._clock() - self._counted_at >= COUNT_INTERVAL:
                self._size = await count(client, self._prefix)
                self._counted_at = self._clock()

    def _mark_up(self) -> None:
        self._trusted = True
        if self.status == "connected":
            return
        self.status = "connected"
        if self._announced:
            away = self._clock() - self._down_since
            logger.info("Redis is connected again after {:.1f} s; {} calls were made without it", away, self._skipped)
        self._announced, self._skipped = False, 0

    async def _mark_down(self, error: BaseException) -> None:
        self._trusted = False
        if self.status == "connected":
            self.status, self._down_since, self._size = "down", self._clock(), None
            self._counted_at = float("-inf")
            assert self._client is not None  # noqa: S101 - probing starts only where there is a URL
            with contextlib.suppress(*FAILURES):
                await self._client.connection_pool.disconnect()
        if not self._announced:
            self._announced = True
            logger.warning("Redis is down, the cache continues without it: {}", reason(error))


def _entry(ttl_ms: object, stored: object) -> Entry | None:
    for answer in (ttl_ms, stored):
        if isinstance(answer, Exception):
            raise TierError(f"Redis: {reason(answer)}")
    if not isinstance(stored, bytes) or not isinstance(ttl_ms, int) or ttl_ms <= 0:
        return None
    return Entry(stored, ttl_ms / 1000)
