"""Imports what an account has behind it, beside the fetches that poll its present state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

from loguru import logger

from pnl_backend.domain.readings import Progress, Reading, SourceName
from pnl_backend.ledger.periodic_job import PeriodicJob

LOOK_EVERY = 1.0
"""Seconds between two looks at whether something is due."""

RETRY = 5.0
"""Seconds until the first attempt after a failure."""

State = Literal["waiting", "importing", "failing", "complete"]


class Importer(Protocol):
    """Reads the history of one account, as far as it is due."""

    def progress(self) -> Progress | None:
        """What is missing; None if nothing is."""

    async def read_due(self) -> None:
        """Read all that is due; raises FetchError, and continues at the next call where this one ended."""


class HistoryImport:
    """Runs the importer of the source `name` while its reading is live: only then is its account known to be right."""

    def __init__(
        self,
        name: SourceName,
        importer: Importer,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._importer = importer
        self._error: str | None = None
        self._monotonic = monotonic
        self._job = PeriodicJob(
            "settled markets",
            importer.read_due,
            every=LOOK_EVERY,
            retry=RETRY,
            on_run=self._ended,
            clock=clock,
            monotonic=monotonic,
        )
        self._live = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        if self._importer.progress() is None:
            return "complete"
        if self._error is not None:
            return "failing"
        return "importing" if self._live.is_set() else "waiting"

    def detail(self) -> str | None:
        """How far it is, and the code of the error that keeps it."""
        progress = self._importer.progress()
        if progress is None:
            return None
        done = f"{progress.done:,} {progress.what} so far"
        return f"{done}, last attempt failed ({self._error})" if self._error is not None else done

    def on_reading(self, reading: Reading[Any]) -> None:
        if reading.source != self._name:
            return
        if reading.status == "live" and not reading.account_changed:
            self._live.set()
        else:
            self._live.clear()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="history-import")

    async def stop(self) -> None:
        """Stop; a page that is being written is finished first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._live.wait()
            try:
                await self._job.run_if_due()
            except Exception:
                logger.exception("the import of settled markets failed, it is tried again")
                await asyncio.sleep(RETRY)
            await asyncio.sleep(max(self._job.due - self._monotonic(), 0.1))

    def _ended(self, _seconds: float, code: str | None) -> None:
        self._error = code
