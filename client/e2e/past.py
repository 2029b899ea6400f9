"""Copies the newest snapshot of a ledger to the noons (UTC) of days before it: past.py LEDGER DAYS BUSINESS_TIMEZONE."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from pnl_backend.ledger.sqlite import Store

DAY_MS = 86_400_000


async def main(ledger: str, days: str, zone: str) -> None:
    store = await Store.open(Path(ledger), origin="demo", timezone=zone)
    try:
        (newest,) = await store.newest(1)
        noon = newest.at - newest.at % DAY_MS + DAY_MS // 2
        for before in range(int(days), 0, -1):
            await store.append(replace(newest, epoch=store.epoch, seq=store.last_seq + 1, at=noon - before * DAY_MS))
    finally:
        await store.close()


asyncio.run(main(*sys.argv[1:]))
