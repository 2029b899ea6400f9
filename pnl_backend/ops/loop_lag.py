"""Measures how late the event loop runs its callbacks: a late loop delays every client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from pnl_backend.ops.background import running

INTERVAL = 0.25


@contextlib.asynccontextmanager
async def watching(observe: Callable[[float], None], *, interval: float = INTERVAL) -> AsyncIterator[None]:
    """While the block runs, call `observe` each `interval` (s) with the loop's lateness in seconds."""
    async with running(_watch(observe, interval), "loop-lag"):
        yield


async def _watch(observe: Callable[[float], None], interval: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval
        await asyncio.sleep(interval)
        observe(max(0.0, loop.time() - due))
