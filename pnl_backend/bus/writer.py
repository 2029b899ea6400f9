"""What the leader adds to the stream: each snapshot after it was committed, and what the stream lacks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from loguru import logger

from pnl_backend.bus.protocol import Stream
from pnl_backend.domain.readings import SourceName
from pnl_backend.domain.record import Record
from pnl_backend.errors import BusDown

SPARE = 10
"""The stream keeps a tenth more than `keep` snapshots, because Redis trims it in blocks."""


class StreamWriter:
    """One leader's end of the stream.

    `held` gives the newest snapshots that this node has, oldest first, in the ledger or published: with them the
    stream is filled when it has missed some. While snapshots are not stored in the ledger the stream keeps
    `keep_unstored` of them, because it is the only place where the next leader finds them.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        fence: int,
        configured: frozenset[SourceName],
        held: Callable[[], Awaitable[Sequence[Record]]],
        keep: int,
        keep_unstored: int,
    ) -> None:
        self.fence = fence
        self._stream = stream
        self._configured = configured
        self._held = held
        self._keep = keep + keep // SPARE
        self._keep_unstored = keep_unstored
        self._complete = False
        self._behind = 0

    @property
    def behind(self) -> int:
        """Committed snapshots that are not in the stream."""
        return self._behind

    def recheck(self) -> None:
        """Compare the stream with what is held before the next snapshot: it may have been replaced."""
        self._complete = False

    async def add(self, record: Record, *, stored: bool) -> None:
        """Add a snapshot that is `stored` in the ledger, or is not.

        One that is stored needs no stream: it is added later if the stream cannot be written now. For one that is not,
        BusDown is raised: then nobody but this process has it. Fenced if another node leads.
        """
        try:
            await self._add(record, stored)
        except BusDown as error:
            self._complete = False
            if not stored:
                raise
            if not self._behind:
                logger.warning("bus: updates are not in the stream, other nodes do not get them: {}", error)
            self._behind += 1
            return
        if self._behind:
            logger.info("bus: the stream has all updates again, {} came late", self._behind)
            self._behind = 0

    async def fill(self) -> None:
        """Add what the stream lacks of the snapshots that are held."""
        await self._stream.fill(self.fence, await self._held(), self._configured)
        self._complete = True

    async def _add(self, record: Record, stored: bool) -> None:
        keep = self._keep if stored else self._keep_unstored
        if not self._complete:
            await self.fill()
        if not await self._stream.add(self.fence, record, self._configured, keep=keep):
            logger.warning("bus: the stream is gone, it is filled again")
            await self.fill()
            await self._stream.fill(self.fence, [record], self._configured)
