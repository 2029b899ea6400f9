"""Waiting for what must come, for as long as a loaded machine may need and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], bool], *, within: float = 20.0) -> None:
    """Return once `holds()`; TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another process or task and sets no event
            await asyncio.sleep(0.01)
