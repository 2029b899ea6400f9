"""Where tasks wait, through coroutines and asynchronous generators."""

import asyncio
from contextlib import asynccontextmanager

from pnl_backend.ops.suspended import suspended_tasks


async def test_a_task_is_named_with_the_innermost_place_that_it_waits_in():
    forever = asyncio.Event()

    async def innermost():
        await forever.wait()

    @asynccontextmanager
    async def held():
        yield
        await innermost()

    async def work():
        async with held():
            pass

    tasks = [asyncio.create_task(work(), name="worker"), asyncio.create_task(innermost(), name="other")]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    places = dict(line.split(" in ") for line in suspended_tasks())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert places["worker"].startswith("Event.wait:")
    assert places["other"].startswith("Event.wait:")
