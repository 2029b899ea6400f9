"""A job that runs at intervals: when it is due, how it backs off after a failure, and which failures are logged."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable

from loguru import logger

from pnl_backend.errors import FetchError, PnLError

SOONEST = 2.0
"""Seconds between two runs that were brought forward."""

LONGEST_BACKOFF = 900.0


class PeriodicJob:
    """Runs `run` every `every` seconds, when the owner calls `run_if_due`; failures back off, from `retry` seconds on.

    A series of failures (PnLError) is logged when it begins and when it ends. `on_run(seconds, code)` is called after
    every run, with the error's code if it failed. `read_at` is when the last successful run began, in ms.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Awaitable[None]],
        *,
        every: float,
        retry: float,
        on_run: Callable[[float, str | None], None] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._run = run
        self._every = every
        self._retry = retry
        self._on_run = on_run
        self._clock = clock
        self._monotonic = monotonic
        self._begun = float("-inf")
        self._failures = 0
        self.due = float("-inf")
        self.read_at: int | None = None

    def bring_forward(self) -> None:
        """Run soon; a job that fails keeps its backoff."""
        if not self._failures:
            self.due = min(self.due, max(self._monotonic(), self._begun + SOONEST))

    async def run_if_due(self) -> None:
        if self._monotonic() < self.due:
            return
        self._begun, at = self._monotonic(), int(self._clock() * 1000)
        code: str | None = None
        try:
            await self._run()
        except PnLError as error:
            code = error.code
            self._failed(error)
        else:
            self._succeeded(at)
        if self._on_run is not None:
            self._on_run(self._monotonic() - self._begun, code)

    def _succeeded(self, at: int) -> None:
        if self._failures:
            logger.info("{} are recorded again after {} failures", self._name.capitalize(), self._failures)
        self._failures, self.read_at = 0, at
        self.due = self._monotonic() + self._every

    def _failed(self, error: PnLError) -> None:
        self._failures += 1
        if self._failures == 1:
            logger.warning("{} could not be recorded, it is tried again: {}", self._name.capitalize(), error)
        asked = error.retry_after if isinstance(error, FetchError) else None
        pause = min(self._retry * 2.0 ** min(self._failures - 1, 8), LONGEST_BACKOFF)
        jittered = pause * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        self.due = self._monotonic() + (asked or jittered)
