"""Tasks that repeat, and tasks that are ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def every(interval: float, step: Callable[[], None]) -> None:
    """Step for ever, drift-free."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += interval
        await asyncio.sleep(max(0.0, due - loop.time()))
        step()


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it has gone; what it failed of, if it failed, is raised here."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
