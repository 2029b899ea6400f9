"""The ledger at the start: checked for damage, put aside if it is damaged, and opened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pnl_backend.ledger.protocol import Ledger
from pnl_backend.ledger.sql.identity import Origin
from pnl_backend.ledger.sqlite import Store, integrity, maintenance
from pnl_backend.ledger.sqlite.ledger_file import Synchronous
from pnl_backend.ops.health import Part


@asynccontextmanager
async def opened_ledger(
    path: Path, *, backup_dir: Path | None, origin: Origin, synchronous: Synchronous, timezone: str
) -> AsyncIterator[tuple[Ledger, Callable[[], Part]]]:
    """The open ledger, and what the health report says about its integrity; closed when the block ends."""
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
