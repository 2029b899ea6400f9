"""Deadlines: in order, on time, on the loop's own clock."""

import asyncio

from pnl_backend.engine.timers import Timers


async def test_deadlines_come_in_order_and_those_withdrawn_do_not() -> None:
    timers, got = Timers(), []
    done = asyncio.Event()
    slow = timers.queue(0.06, lambda item: (got.append(item), done.set()))
    quick = timers.queue(0.02, got.append)
    slow.add("slow")
    for item in ("a", "b", "c"):
        quick.add(item)
    quick.discard("b")
    quick.add("a")
    await asyncio.wait_for(done.wait(), 5)
    assert got == ["c", "a", "slow"]
    assert len(quick) == len(slow) == 0


async def test_a_deadline_whose_handler_fails_stops_no_other() -> None:
    timers, got = Timers(), []
    done = asyncio.Event()

    def fail(item: str) -> None:
        if item == "bad":
            raise RuntimeError(item)
        got.append(item)
        done.set()

    queue = timers.queue(0.01, fail)
    queue.add("bad")
    queue.add("good")
    await asyncio.wait_for(done.wait(), 5)
    assert got == ["good"]


async def test_an_overdue_item_is_known_before_it_expires() -> None:
    timers = Timers()
    queue = timers.queue(10.0, lambda item: None)
    now = timers.now()
    queue.add("late", start=now - 11)
    queue.add("early", start=now)
    assert queue.overdue("late")
    assert not queue.overdue("early")
    assert not queue.overdue("unknown")
    timers.stop()


async def test_ten_thousand_deadlines_at_once() -> None:
    timers, got = Timers(), []
    done = asyncio.Event()
    queue = timers.queue(0.05, lambda item: (got.append(item), done.set() if item == 9999 else None))
    for item in range(10_000):
        queue.add(item)
    await asyncio.wait_for(done.wait(), 10)
    assert got == list(range(10_000))
