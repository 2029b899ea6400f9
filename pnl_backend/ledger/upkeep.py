"""Scheduled maintenance: old raw rows are deleted every hour, a backup is made once a day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from loguru import logger

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import maintenance

HOUR = 3600.0
DAY = 86_400.0


class Upkept(Protocol):
    """What is kept in shape."""

    async def prune(self, keep_days: int) -> int: ...

    async def backup(self, directory: Path, *, keep_days: int) -> Path: ...


class Upkeep:
    """A background task. Without `backup_dir` no backups are made.

    The name of the last backup gives the time of the next one, so that restarts neither skip nor repeat one.
    """

    def __init__(
        self,
        store: Upkept,
        *,
        path: Path,
        retention_days: int,
        backup_dir: Path | None,
        backup_keep_days: int,
        every: float = HOUR,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._path = path
        self._retention_days = retention_days
        self._backup_dir = backup_dir
        self._backup_keep_days = backup_keep_days
        self._every = every
        self._clock = clock
        self._problems: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        """What failed at the last try; None if nothing did."""
        return "; ".join(self._problems.values()) or None

    def start(self) -> None:
        """Start, with a first round at once."""
        self._task = asyncio.create_task(self._run(), name="ledger-upkeep")

    async def stop(self) -> None:
        """Stop; a batch in progress is finished, a backup in progress is finished or removed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def round(self) -> None:
        """Run everything that is due; a failure is logged once, counted, and tried again next time."""
        await self._try("retention", self._prune)
        await self._try("backup", self._back_up)

    async def _prune(self) -> None:
        gone = await self._store.prune(self._retention_days)
        if gone:
            logger.info("{} raw snapshots older than {} days were deleted", gone, self._retention_days)

    async def _back_up(self) -> None:
        if self._backup_dir is not None and self._is_due(self._backup_dir):
            made = await self._store.backup(self._backup_dir, keep_days=self._backup_keep_days)
            logger.info("The ledger was backed up to {}", made)

    def _is_due(self, directory: Path) -> bool:
        made = maintenance.backups(self._path, directory)
        return not made or self._clock() - maintenance.taken_at(made[-1]) >= DAY

    async def _try(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (StoreError, OSError) as error:
            self._problems[what] = f"{what}: {error}"
            self._failures[what] = self._failures.get(what, 0) + 1
            if self._failures[what] == 1:
                logger.error("Maintenance of the ledger failed, it is tried again: {}", self._problems[what])
            return
        self._problems.pop(what, None)
        if failures := self._failures.pop(what, 0):
            logger.info("Maintenance of the ledger works again after {} failures: {}", failures, what)

    async def _run(self) -> None:
        while True:
            await self.round()
            await asyncio.sleep(self._every)
