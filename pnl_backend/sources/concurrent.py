"""Several calls at once, and work on many rows in a worker thread, so that it never holds the event loop for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sized
from typing import Any, Concatenate, ParamSpec, TypeVar

Rows = TypeVar("Rows", bound=Sized)
Rest = ParamSpec("Rest")
Result = TypeVar("Result")
First = TypeVar("First")
Second = TypeVar("Second")

FEW = 100
"""Fewer rows than this are processed at once, without another thread: about a millisecond."""


async def in_worker(
    work: Callable[Concatenate[Rows, Rest], Result], rows: Rows, /, *args: Rest.args, **kwargs: Rest.kwargs
) -> Result:
    """`work(rows, ...)`, in another thread if the rows are many; it must touch nothing that others use."""
    if len(rows) <= FEW:
        return work(rows, *args, **kwargs)
    return await asyncio.to_thread(work, rows, *args, **kwargs)


async def both(first: Coroutine[Any, Any, First], second: Coroutine[Any, Any, Second]) -> tuple[First, Second]:
    """Two parts of different kinds at once, as `together`."""
    results: list[Any] = await together(first, second)
    return results[0], results[1]


async def together(*parts: Coroutine[Any, Any, Result]) -> list[Result]:
    """Run the parts at once; the first failure cancels the rest and is raised as it is."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
