"""The ledger at the start: checked for damage, put aside if it is damaged, and opened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pnl_backend.ledger.location import Location
from pnl_backend.ledger.protocol import Ledger
from pnl_backend.ledger.sql.identity import Origin
from pnl_backend.ledger.sqlite import Store, integrity, maintenance
from pnl_backend.ledger.sqlite.ledger_file import Synchronous
from pnl_backend.ops.health import Part
from pnl_backend.settings.model import Settings


def location_of(settings: Settings, path: Path | None = None) -> Location:
    """Where the ledger of these settings is; `path` takes the place of their file."""
    url = settings.database_url
    return Location(path or settings.database, None if url is None else url.get_secret_value())


@asynccontextmanager
async def opened_ledger(
    location: Location, *, backup_dir: Path | None, origin: Origin, synchronous: Synchronous, timezone: str
) -> AsyncIterator[tuple[Ledger, Callable[[], Part]]]:
    """The open ledger, and what the health report says about its integrity; closed when the block ends."""
    if location.url is None:
        opened = _file(location.path, backup_dir=backup_dir, origin=origin, synchronous=synchronous, timezone=timezone)
    else:
        opened = _database(location, origin=origin, timezone=timezone)
    async with opened as ledger_and_part:
        yield ledger_and_part


@asynccontextmanager
async def _database(
    location: Location, *, origin: Origin, timezone: str
) -> AsyncIterator[tuple[Ledger, Callable[[], Part]]]:
    """PostgreSQL verifies its files itself."""
    store = await location.open(origin=origin, timezone=timezone, tolerant=True)
    try:
        yield store, lambda: Part("external")
    finally:
        await store.close()


@asynccontextmanager
async def _file(
    path: Path, *, backup_dir: Path | None, origin: Origin, synchronous: Synchronous, timezone: str
) -> AsyncIterator[tuple[Ledger, Callable[[], Part]]]:
    """A file is checked for damage first, for a limited time."""
    backups = maintenance.backups(path, backup_dir) if backup_dir else []
    found = await asyncio.to_thread(integrity.inspect, path, backups=backups, now=time.time())
    store = await Store.open(
        path, origin=origin, synchronous=synchronous, timezone=timezone, first_run=found.first_run, tolerant=True
    )
    checked = integrity.Background(path, store.note_damage)
    if found.unfinished:
        checked.start()

    def part() -> Part:
        problem = found.problem or checked.problem
        if problem:
            return Part("damaged", ok=False, detail=problem)
        return Part("checking" if checked.running else "whole")

    try:
        yield store, part
    finally:
        await checked.close()
        await store.close()
