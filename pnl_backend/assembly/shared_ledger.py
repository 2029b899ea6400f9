"""The ledger that the nodes of a cluster share: read by all of them, written by the leader."""

from __future__ import annotations

from loguru import logger

from pnl_backend.ledger.postgres import Reader, Store, head_of
from pnl_backend.ledger.sql.identity import Origin
from pnl_backend.settings.model import Settings


class SharedLedger:
    """Opens what a node needs of the ledger at `DATABASE_URL`."""

    def __init__(self, settings: Settings) -> None:
        if settings.database_url is None:
            raise ValueError("a cluster has a DATABASE_URL: the settings are checked")
        self._url = settings.database_url.get_secret_value()
        self._origin: Origin = "demo" if settings.demo_mode else "live"
        self._timezone = settings.business_timezone

    async def reader(self) -> Reader:
        """What reads, also while the database cannot be reached or nobody has written a ledger yet."""
        reader = await Reader.open(self._url, origin=self._origin, timezone=self._timezone, tolerant=True)
        if not reader.epoch:
            logger.warning("the ledger cannot be read yet: {}", reader.health()["error"] or "it is empty")
        return reader

    async def fence(self) -> int:
        """The fence of the leader that claimed the ledger last; StoreError if it cannot be read."""
        return (await head_of(self._url)).fence

    async def writer(self, fence: int) -> Store:
        """What writes, the ledger claimed for this fence; StoreError if it cannot be written, or a newer one has it."""
        return await Store.open(self._url, origin=self._origin, timezone=self._timezone, fence=fence)
