"""The connection to the Redis of a cluster: calls with a time limit, and whether it can be used now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from loguru import logger

from pnl_backend.errors import BusDown
from pnl_backend.redis_client import FAILURES, LockError, Redis, connect, is_refusal, reason

Result = TypeVar("Result")

SETTING = "BUS_URL"
CALL_TIMEOUT = 0.5
"""Seconds for a short command: a tick waits so long once, when Redis stops to answer."""
READ_TIMEOUT = 5.0
"""Seconds for commands that carry the whole stream."""
BLOCK = 1.0
"""Seconds that a read waits for the next entry."""
POOL_SIZE = 8


class RedisLink:
    """While Redis is away calls fail at once; only those that `probe` try it, and notice when it is back."""

    def __init__(self, url: str, *, call_timeout: float = CALL_TIMEOUT, clock: Callable[[], float] = time.monotonic):
        self._client = connect(url, POOL_SIZE, READ_TIMEOUT, setting=SETTING)
        self._reader = connect(url, 1, BLOCK + READ_TIMEOUT, setting=SETTING)
        self._call_timeout = call_timeout
        self._clock = clock
        self._up: bool | None = None
        self._down_since = 0.0
        self.problem: str | None = None
        """Why Redis cannot be used; None while it can."""

    @property
    def client(self) -> Redis:
        return self._client

    @property
    def up(self) -> bool:
        """Whether the last call was answered."""
        return bool(self._up)

    async def call(
        self,
        operation: Callable[[Redis], Awaitable[Result]],
        *,
        probe: bool = False,
        timeout: float | None = None,
        blocking: bool = False,
    ) -> Result:
        """The result of an operation; BusDown if Redis does not answer in time, refuses it, or is known to be away.

        A lost lock is raised as it is. `blocking` uses the connection on which reads wait for entries.
        """
        if not self._up and not probe:
            raise BusDown(f"{SETTING}: Redis is away: {self.problem or 'not connected yet'}")
        limit = self._call_timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(limit + (BLOCK if blocking else 0.0)):
                result = await operation(self._reader if blocking else self._client)
        except LockError:
            raise
        except FAILURES as error:
            if not is_refusal(error):
                await self._mark_down(error)
            raise BusDown(f"{SETTING}: {reason(error)}") from error
        self._mark_up()
        return result

    async def close(self) -> None:
        self._up = False
        for client in (self._client, self._reader):
            with suppress(*FAILURES):
                await client.aclose()
                await client.connection_pool.disconnect()

    def _mark_up(self) -> None:
        if not self._up:
            if self._up is not None:
                logger.info("bus: Redis can be used again after {:.1f} s", self._clock() - self._down_since)
            self._up, self.problem = True, None

    async def _mark_down(self, error: BaseException) -> None:
        self.problem = reason(error)
        if self._up is not False:
            self._up, self._down_since = False, self._clock()
            logger.warning("bus: Redis is away: {}", self.problem)
            for client in (self._client, self._reader):
                with suppress(*FAILURES):
                    await client.connection_pool.disconnect()
