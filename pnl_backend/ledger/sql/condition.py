"""The state of the ledger: whether its last write succeeded, since when, and how many snapshots are not stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypedDict

from loguru import logger

from pnl_backend.errors import StoreError


class State(TypedDict):
    """The ledger's state; `since` in ms, `unstored` counts snapshots that were published and are not stored.

    `lost` counts stored ones that were lost with a file; the table `gaps` lists them.
    """

    state: Literal["connected", "down"]
    since: int
    error: str | None
    unstored: int
    lost: int
    synchronous: str


class Condition:
    """Is notified of every write; logs the first failure and the recovery, and counts the rest. `now` returns ms."""

    def __init__(self, now: Callable[[], int], verb: str = "written") -> None:
        self._verb = verb
        self._now = now
        self.failures = 0
        """Writes that failed since the last good one."""
        self.error: str | None = None
        self.since = now()

    def on_write(self, failure: StoreError | None) -> None:
        """Note the result of a write: its failure, or None when it was stored."""
        if failure is not None:
            self.failures += 1
            if self.error is None:
                logger.error("The ledger cannot be {}: {}", self._verb, failure)
                self.since = self._now()
            self.error = str(failure)
        elif self.error is not None:
            logger.info("The ledger can be {} again after {} failures", self._verb, self.failures)
            self.error, self.failures, self.since = None, 0, self._now()
