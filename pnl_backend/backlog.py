"""Commits snapshots, and keeps those that the ledger did not take until it takes them again, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from loguru import logger

from pnl_backend.domain.readings import Position
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.errors import Fenced, StoreError
from pnl_backend.wire.views import to_record

BACKLOG = 20_000
"""Snapshots kept in memory while the ledger cannot be written: a day of five-second ticks."""


class Ledger(Protocol):
    """What is needed of the store."""

    async def append(self, record: Record, *, positions: Iterable[Position] = ()) -> None: ...


class Backlog:
    """`report` is called with the number of snapshots that are not stored, when it changes."""

    def __init__(self, ledger: Ledger, report: Callable[[int], None]) -> None:
        self._ledger = ledger
        self._report = report
        self._waiting: deque[tuple[Record, tuple[Position, ...]]] = deque(maxlen=BACKLOG)
        self._dropped = 0

    @property
    def unstored(self) -> int:
        """Published snapshots that are not in the ledger: those that wait to be written, and those given up."""
        return len(self._waiting) + self._dropped

    async def commit(
        self, snapshot: Snapshot, record: Record, positions: tuple[Position, ...]
    ) -> tuple[Snapshot, Record]:
        """Store what waits, then this; as it is to be published, marked where it was not stored. Fenced is raised."""
        try:
            while self._waiting:
                waiting, held = self._waiting[0]
                await self._ledger.append(waiting, positions=held)
                self._waiting.popleft()
                if not self._waiting:
                    logger.info("the ledger can be written again; all waiting snapshots are stored")
                    self._report(self.unstored)
            await self._ledger.append(record, positions=positions)
        except Fenced:
            raise
        except StoreError as error:
            if not self._waiting:
                logger.error("the ledger cannot be written, updates go on without being stored: {}", error)
            snapshot = replace(snapshot, stored=False)
            record = to_record(snapshot)
            self._dropped += len(self._waiting) == BACKLOG
            self._waiting.append((record, positions))
            self._report(self.unstored)
        return snapshot, record

    def withdraw(self) -> None:
        """Forget the newest one: it was not published."""
        self._waiting.pop()
        self._report(self.unstored)
