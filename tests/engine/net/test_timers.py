"""Deadlines: in order, on time, on a clock that stands still while the loop is held up."""

import asyncio
import time

import pytest

from pnl_backend.engine.net.timers import Deadlines, Timeouts, Timers
from tests.waiting import PATIENCE, until


async def test_deadlines_come_in_order_and_those_withdrawn_do_not() -> None:
    timers, got = Timers(), []
    slow = Deadlines[str](timers, 0.06, got.append)
    quick = Deadlines[str](timers, 0.02, got.append)
    slow.add("slow")
    for item in ("a", "b", "c"):
        quick.add(item)
    quick.discard("b")
    quick.add("a")
    await until(lambda: "slow" in got)
    assert got == ["c", "a", "slow"]
    assert len(quick) == len(slow) == 0


async def test_a_deadline_whose_handler_fails_stops_no_other() -> None:
    timers, got = Timers(), []

    def fail(item: str) -> None:
        if item == "bad":
            raise RuntimeError(item)
        got.append(item)

    queue = Deadlines[str](timers, 0.01, fail)
    queue.add("bad")
    queue.add("good")
    await until(lambda: got == ["good"])


def test_a_deadline_says_what_expiry_means() -> None:
    """A queue of deadlines without an `expire` cannot be made: not even by mistake."""
    with pytest.raises(TypeError, match="expire"):
        Deadlines(Timers(), 1.0)  # type: ignore[call-arg]


async def test_an_overdue_item_is_known_before_it_expires() -> None:
    timers = Timers()
    queue = Deadlines[str](timers, 10.0, lambda item: None)
    now = timers.now()
    queue.add("late", start=now - 11)
    queue.add("early", start=now)
    assert queue.overdue("late")
    assert not queue.overdue("early")
    assert not queue.overdue("unknown")
    timers.stop()


async def test_ten_thousand_deadlines_at_once() -> None:
    timers, got = Timers(), []
    queue = Deadlines[str](timers, 0.05, got.append)
    items = [str(number) for number in range(10_000)]
    for item in items:
        queue.add(item)
    await until(lambda: len(got) == len(items))
    assert got == items


async def test_a_stall_moves_every_deadline_by_its_length() -> None:
    timers, got = Timers(), []
    loop = asyncio.get_running_loop()
    queue = Deadlines[str](timers, 0.6, lambda item: got.append((item, loop.time())))
    added = loop.time()
    queue.add("a")
    await asyncio.sleep(0.1)
    queue.add("b")
    stalled = time.monotonic()
    time.sleep(1.5)  # noqa: ASYNC251 - the loop is held up on purpose
    stalled = time.monotonic() - stalled
    await asyncio.sleep(0)
    assert not queue.overdue("a")
    await until(lambda: len(got) == 2)
    # Less the part of a heartbeat that had passed, and what counts as being on time.
    assert got[0][1] - added > 0.6 + stalled - 0.35
    assert [item for item, _ in got] == ["a", "b"]


async def test_what_arrived_during_a_stall_is_read_before_anything_expires() -> None:
    timers, expired, read = Timers(), [], []
    queue = Deadlines[str](timers, 0.3, expired.append)
    server, client = await connected_pair()

    async def answer() -> None:
        read.append(await server.read(1))
        queue.discard("pinged")

    task = asyncio.create_task(answer())
    await asyncio.sleep(0)
    queue.add("pinged")
    client.write(b"x")
    time.sleep(1.0)  # noqa: ASYNC251 - the loop is held up on purpose
    await task
    queue.add("next")
    await until(lambda: expired == ["next"])
    client.close()


async def test_a_loop_that_is_always_late_still_expires() -> None:
    timers, expired = Timers(), []
    queue = Deadlines[str](timers, 0.2, expired.append)
    queue.add("a")
    async with asyncio.timeout(PATIENCE):
        while not expired:
            time.sleep(0.08)  # noqa: ASYNC251 - every turn of the loop is late
            await asyncio.sleep(0)


async def test_a_time_limit_on_this_clock() -> None:
    timers = Timers()
    limits = Timeouts(timers, 0.05)
    async with limits.limit():
        pass
    assert len(limits) == 0
    with pytest.raises(TimeoutError):
        async with limits.limit():
            await asyncio.Event().wait()
    assert len(limits) == 0


async def connected_pair() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """What one end reads, and what the other writes with."""
    accepted: asyncio.Future[asyncio.StreamReader] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda reader, _: accepted.set_result(reader), "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    reader = await accepted
    server.close()
    return reader, writer
