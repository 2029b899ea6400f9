"""How the ledger is: what its last write came to, since when, and how much was announced and never stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypedDict

from loguru import logger

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite.ledger_file import Synchronous


class State(TypedDict):
    """The ledger's state; `since` in ms, `unstored` counts snapshots that were announced and are not stored.

    `lost` counts stored ones that went with a file: the table `gaps` names them.
    """

    state: Literal["connected", "down"]
    since: int
    error: str | None
    unstored: int
    lost: int
    synchronous: Synchronous


class Condition:
    """Notified of every write: the first failure and the recovery are logged, the rest is counted. `now` gives ms."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.failures = 0
        """Writes that failed since the last good one."""
        self.error: str | None = None
        self.since = now()

    def on_write(self, failure: StoreError | None) -> None:
        """Take in what a write came to: None when it was stored."""
        if failure is not None:
            self.failures += 1
            if self.error is None:
                logger.error("The ledger cannot be written: {}", failure)
                self.since = self._now()
            self.error = str(failure)
        elif self.error is not None:
            logger.info("The ledger can be written again after {} failed writes", self.failures)
            self.error, self.failures, self.since = None, 0, self._now()
