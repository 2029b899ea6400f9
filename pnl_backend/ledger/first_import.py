"""A ledger begun without the account's whole history is brought right: what it published before is marked as restated.

Versions up to 0.1.0 knew no archived markets. When the first import of the history has ended, the ledger notes it; if
the account's sums have changed by it, everything published before stays as it is and is marked.
"""

from __future__ import annotations

from typing import Protocol

from loguru import logger

from pnl_backend.domain.classic import KALSHI
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.errors import StoreError

REASON = "the figures before lack markets that the account no longer lists; its whole history is imported now"


class Ledger(Protocol):
    """What is needed of the store."""

    async def is_whole(self) -> bool: ...

    async def note_whole(self) -> None: ...

    async def restate(self, source: str, reason: str, at: int) -> object: ...


class FirstImport:
    """Looks at each snapshot until the first one with the account's whole history is found."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._done = False
        self._failed = False

    async def restates(self, snapshot: Snapshot, before: Snapshot | None) -> bool:
        """Whether the history was restated now; `before` is the last complete snapshot before this one.

        While the ledger cannot be written the question stays open.
        """
        if self._done or not snapshot.complete or KALSHI not in snapshot.marks.whole:
            return False
        try:
            return await self._look(snapshot, before)
        except StoreError as error:
            if not self._failed:
                logger.error("Whether older history is whole cannot be noted yet: {}", error)
            self._failed = True
            return False

    async def _look(self, snapshot: Snapshot, before: Snapshot | None) -> bool:
        wrong = False
        if not await self._ledger.is_whole():
            wrong = before is not None and not snapshot.simulated and _sums(before) != _sums(snapshot)
            if wrong:
                await self._ledger.restate(KALSHI, REASON, snapshot.at)
            await self._ledger.note_whole()
        self._done = True
        return wrong


def _sums(snapshot: Snapshot) -> tuple[object, object]:
    return snapshot.kalshi.realized_pnl, snapshot.kalshi.fees
