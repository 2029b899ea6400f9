"""Coroutines that become tasks only when they wait: most handlers end without that."""

import asyncio
import inspect
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from typing import Any


class _TaskNeeded:
    """What a coroutine awaits before it waits for anything: it goes on as a task."""

    def __await__(self) -> Generator[None]:
        yield


_TASK_NEEDED = _TaskNeeded()


async def result_of(value: Any) -> Any:
    """What a plain function returned, or an async one will return; that one runs in a task from its first step."""
    # `isawaitable` alone is slow to say no: it asks an abstract base class.
    if hasattr(value, "__await__") or (hasattr(value, "gi_code") and inspect.isawaitable(value)):
        await _TASK_NEEDED
        return await value
    return value


class Tasks:
    """Tasks that are kept until they are done."""

    def __init__(self) -> None:
        self.running: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a task."""
        return self._keep(asyncio.create_task(coroutine))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine at once; where it needs to wait, for which it uses `result_of` alone, the rest is a task."""
        context = copy_context()  # as a task has one, so that variables set in one client's handler stay there
        try:
            context.run(coroutine.send, None)
        except StopIteration:
            return
        self._keep(asyncio.get_running_loop().create_task(coroutine, context=context))

    def _keep(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return task
