"""Waits for a condition, for as long as a loaded machine may need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE = 30.0
"""Seconds within which what a test waits for has come: more than a loaded machine needs, less than a test may take."""


async def until(holds: Callable[[], bool], *, within: float = PATIENCE) -> None:
    """Return once `holds()`; TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another process or task and sets no event
            await asyncio.sleep(0.01)
