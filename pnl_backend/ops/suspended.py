"""Where the tasks of the event loop are suspended, for the log when a shutdown takes too long."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any


def suspended_tasks() -> list[str]:
    """Each task with the innermost function that it waits in and its line: `aggregator in Queue.get:158`."""
    return sorted(_suspended(task) for task in asyncio.all_tasks())


def _suspended(task: asyncio.Task[Any]) -> str:
    awaited: Any = task.get_coro()
    place = "?"
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is not None:
            place = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
        following = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
        if following is None and frame is None:
            # The step of an asynchronous generator has no reference to the generator.
            following = next((found for found in gc.get_referents(awaited) if inspect.isasyncgen(found)), None)
        awaited = following
    return f"{task.get_name()} in {place}"
