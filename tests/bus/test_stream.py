"""The stream in a real Redis: order, fences, what is kept, and what an outage leaves."""

import asyncio

import pytest
import redis.asyncio

from pnl_backend.bus.protocol import BEGIN, Entry, Place
from pnl_backend.bus.reader import StreamReader
from pnl_backend.bus.redis import RedisBus
from pnl_backend.bus.writer import StreamWriter
from pnl_backend.domain.record import Record
from pnl_backend.errors import BusDown, Fenced
from pnl_backend.stream.limits import RING
from tests.bus.conftest import LEASE
from tests.bus.records import SOURCES, record, records
from tests.redis_server import RedisServer
from tests.waiting import until

KEEP = 100


def snapshots(entries: list[Entry]) -> list[Record]:
    return [entry.record for entry in entries if entry.record is not None]


def writer(bus: RedisBus, fence: int, held: list[Record], *, keep: int = KEEP) -> StreamWriter:
    async def newest() -> list[Record]:
        return held[-keep:]

    return StreamWriter(bus.stream, fence=fence, configured=SOURCES, held=newest, keep=keep, keep_unstored=20 * keep)


async def test_a_snapshot_is_read_as_it_was_added_byte_for_byte(bus: RedisBus) -> None:
    await bus.stream.fill(3, records(1, 6), SOURCES)
    entries = await bus.stream.newest(10)
    assert snapshots(entries) == records(1, 6)
    assert [entry.place for entry in entries] == [Place(3, seq) for seq in range(1, 7)]
    assert {entry.configured for entry in entries} == {SOURCES}
    assert await bus.stream.top() == Place(3, 6)


async def test_the_place_in_redis_is_fence_and_number(bus: RedisBus, redis_server: RedisServer) -> None:
    await bus.stream.fill(7, records(41, 42), SOURCES)
    other = redis.asyncio.from_url(redis_server.url)
    try:
        assert [entry for entry, _ in await other.xrange("pnl-bus:stream")] == [b"7-41", b"7-42"]
    finally:
        await other.aclose()


async def test_a_reader_that_waits_gets_an_entry_when_it_is_added(bus: RedisBus) -> None:
    await bus.stream.fill(1, records(1, 2), SOURCES)
    waiting = asyncio.create_task(bus.stream.after(Place(1, 2)))
    await bus.stream.add(1, record(3), SOURCES, keep=KEEP)
    assert snapshots(await waiting) == [record(3)]
    assert await bus.stream.after(Place(1, 3)) == []


async def test_after_a_takeover_the_former_leader_is_refused(bus: RedisBus) -> None:
    await bus.stream.fill(1, records(1, 5), SOURCES)
    await bus.stream.take_over(2, "b")
    newest = (await bus.stream.newest(1))[0]
    assert (newest.place, newest.record, newest.leader) == (Place(2, 5), None, "b")
    with pytest.raises(Fenced):
        await bus.stream.add(1, record(6), SOURCES, keep=KEEP)
    with pytest.raises(Fenced):
        await bus.stream.fill(1, records(1, 6), SOURCES)
    with pytest.raises(Fenced):
        await bus.stream.take_over(1, "a")
    await bus.stream.add(2, record(6), SOURCES, keep=KEEP)
    assert snapshots(await bus.stream.newest(10)) == records(1, 6)


async def test_two_leaders_with_one_fence_cannot_both_take_over(bus: RedisBus) -> None:
    await bus.stream.take_over(4, "a")
    await bus.stream.take_over(4, "a")  # sent again after its answer was lost
    with pytest.raises(Fenced):
        await bus.stream.take_over(4, "b")


async def test_a_snapshot_that_is_added_twice_is_there_once(bus: RedisBus) -> None:
    """A command is sent again where its answer was lost."""
    await bus.stream.fill(1, records(1, 2), SOURCES)
    assert await bus.stream.add(1, record(2), SOURCES, keep=KEEP)
    assert await bus.stream.add(1, record(3), SOURCES, keep=KEEP)
    assert await bus.stream.add(1, record(2), SOURCES, keep=KEEP)
    assert snapshots(await bus.stream.newest(10)) == records(1, 3)


async def test_the_stream_holds_what_the_hub_holds_and_little_more(bus: RedisBus) -> None:
    """Redis trims whole blocks of a hundred."""
    held = records(1, 1)
    end = writer(bus, 1, held, keep=RING)
    for seq in range(1, 3 * RING // 2):
        await end.add(record(seq), stored=True)
    entries = await bus.stream.newest(10 * RING)
    assert RING <= len(entries) <= RING + RING // 10 + 100


async def test_what_the_ledger_lacks_is_not_trimmed(bus: RedisBus) -> None:
    end = writer(bus, 1, [])
    for seq in range(1, 6 * KEEP):
        await end.add(record(seq), stored=False)
    assert len(await bus.stream.newest(10 * KEEP)) == 6 * KEEP - 1
    await end.add(record(6 * KEEP), stored=True)
    assert len(await bus.stream.newest(10 * KEEP)) < 3 * KEEP


async def test_a_stream_that_came_back_empty_is_filled_by_the_next_snapshot(
    bus: RedisBus, redis_server: RedisServer
) -> None:
    held = records(1, 7)
    end = writer(bus, 5, held)
    await end.add(record(8), stored=True)
    held.append(record(8))
    await redis_server.stop()
    await end.add(record(9), stored=True)
    assert end.behind == 1
    with pytest.raises(BusDown):
        await end.add(record(10), stored=False)
    held.append(record(9))
    await redis_server.start()
    await bus.stream.newest(1)
    await end.add(record(10), stored=True)
    assert end.behind == 0
    assert snapshots(await bus.stream.newest(100)) == records(1, 10)
    assert await bus.stream.top() == Place(5, 10)


async def test_a_stream_that_is_deleted_is_noticed_at_the_next_snapshot(
    bus: RedisBus, redis_server: RedisServer
) -> None:
    held = records(1, 7)
    end = writer(bus, 5, held)
    await end.fill()
    other = redis.asyncio.from_url(redis_server.url)
    await other.flushall()
    await other.aclose()
    await end.add(record(8), stored=True)
    assert snapshots(await bus.stream.newest(100)) == records(1, 8)


async def test_while_redis_does_not_answer_calls_fail_at_once(bus: RedisBus, redis_server: RedisServer) -> None:
    await bus.stream.fill(1, records(1, 2), SOURCES)
    redis_server.freeze()
    with pytest.raises(BusDown):
        await bus.stream.add(1, record(3), SOURCES, keep=KEEP)
    assert not bus.link.up
    for _ in range(1000):  # each would wait half a second
        with pytest.raises(BusDown, match="away"):
            await bus.stream.add(1, record(3), SOURCES, keep=KEEP)
    redis_server.thaw()
    await bus.stream.newest(1)
    assert await bus.stream.add(1, record(3), SOURCES, keep=KEEP)
    assert snapshots(await bus.stream.newest(9)) == records(1, 3)


async def test_an_entry_of_another_program_is_left_out(bus: RedisBus, redis_server: RedisServer) -> None:
    other = redis.asyncio.from_url(redis_server.url)
    await bus.stream.fill(1, records(1, 1), SOURCES)
    await other.xadd("pnl-bus:stream", {"record": '{"seq": "x"}'}, id="1-2")
    await other.aclose()
    await bus.stream.fill(1, records(3, 3), SOURCES)
    assert [each.seq for each in snapshots(await bus.stream.newest(9))] == [1, 3]


class Collected:
    """What a reader passed on."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    async def __call__(self, entries: list[Entry]) -> None:
        self.entries += entries

    @property
    def seqs(self) -> list[int]:
        return [each.record.seq for each in self.entries if each.record is not None]


async def test_a_reader_begins_with_the_newest_and_follows(bus: RedisBus) -> None:
    await bus.stream.fill(1, records(1, 30), SOURCES)
    collected = Collected()
    reader = StreamReader(bus.stream, collected, count=10)
    assert await reader.begin()
    assert collected.seqs == list(range(21, 31))
    async with reader.following():
        await bus.stream.take_over(2, "b")
        await bus.stream.fill(2, records(31, 33), SOURCES)
        await until(lambda: collected.seqs[-1] == 33)
    assert collected.seqs == list(range(21, 34))
    assert reader.place == Place(2, 33)


async def test_a_reader_goes_on_when_redis_comes_back_empty_and_is_filled(
    bus: RedisBus, redis_server: RedisServer
) -> None:
    await bus.stream.fill(6, records(1, 5), SOURCES)
    collected = Collected()
    reader = StreamReader(bus.stream, collected, count=10)
    async with reader.following():
        await until(lambda: collected.seqs == [1, 2, 3, 4, 5])
        await redis_server.stop()
        await until(lambda: not bus.link.up)
        await redis_server.start()
        await until(lambda: bus.link.up)
        await bus.stream.fill(6, records(1, 7), SOURCES)
        await until(lambda: 7 in collected.seqs)
    assert collected.seqs[-2:] == [6, 7]


async def test_a_reader_begins_anew_in_a_stream_that_is_not_the_one_it_read(
    bus: RedisBus, redis_server: RedisServer
) -> None:
    """A ledger that was lost too begins with small numbers again."""
    await bus.stream.fill(6, records(100, 105), SOURCES)
    collected = Collected()
    reader = StreamReader(bus.stream, collected, count=10)
    async with reader.following():
        await until(lambda: 105 in collected.seqs)
        await redis_server.stop()
        await until(lambda: not bus.link.up)
        await redis_server.start()
        async with RedisBus.opened(redis_server.url, lease=LEASE) as other:
            await other.stream.newest(1)
            await other.stream.fill(1, records(1, 3), SOURCES)
        await until(lambda: 3 in collected.seqs)
    assert collected.seqs[-3:] == [1, 2, 3]


async def test_a_reader_survives_a_callback_that_fails(bus: RedisBus) -> None:
    collected = Collected()
    failures = [RuntimeError("once")]

    async def fails_once(entries: list[Entry]) -> None:
        if failures:
            raise failures.pop()
        await collected(entries)

    reader = StreamReader(bus.stream, fails_once, count=10)
    assert reader.place == BEGIN
    async with reader.following():
        await bus.stream.fill(1, records(1, 3), SOURCES)
        await until(lambda: collected.seqs == [1, 2, 3])
