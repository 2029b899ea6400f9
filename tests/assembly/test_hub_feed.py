"""What reaches the hub of a node: each snapshot once and in order, whichever way it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pnl_backend.assembly.hub_feed import HubFeed
from pnl_backend.bus.protocol import Entry, Place
from pnl_backend.domain.record import Record
from pnl_backend.ledger.sqlite import Store
from pnl_backend.stream.hub import Hub, Publication
from pnl_backend.wire.views import from_record
from tests.bus.records import SOURCES, record, records


def entries(*found: Record, fence: int = 1) -> list[Entry]:
    return [Entry(Place(fence, each.seq), each, SOURCES) for each in found]


class House:
    """A hub over a real ledger; `stream` is what the stream holds, `sent` what its clients got."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.stream: list[Entry] = []
        self.sent: list[tuple[str, int]] = []
        self.reads = 0
        self.hub = Hub(store)
        self.hub.attach(self)
        self.feed = HubFeed(self.hub, store, self.newest)

    async def newest(self) -> list[Entry]:
        self.reads += 1
        return self.stream

    async def publish(self, publication: Publication) -> None:
        self.sent.append((publication.record.epoch, publication.seq))

    async def stream_error(self) -> None:
        """Not looked at."""

    @property
    def seqs(self) -> list[int]:
        return [seq for _, seq in self.sent]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store.open(tmp_path / "pnl.db", origin="live")
    yield House(store)
    await store.close()


async def test_of_the_first_entries_the_last_is_sent_and_all_can_be_replayed(house: House) -> None:
    await house.feed.take(entries(*records(1, 40)))
    assert house.seqs == [40]
    page = await house.hub.page(record(1).epoch, 30, limit=100)
    assert page is not None
    assert [each.seq for each in page] == list(range(31, 41))
    assert house.feed.followed


async def test_what_the_loop_published_is_left_out_of_the_stream(house: House) -> None:
    await house.feed.take(entries(*records(1, 2)))
    await house.feed.publish(from_record(record(3)), record(3))
    await house.feed.take(entries(*records(2, 4)))
    await house.feed.publish(from_record(record(4)), record(4))
    assert house.seqs == [2, 3, 4]


async def test_a_jump_is_filled_from_the_stream(house: House) -> None:
    await house.feed.take(entries(*records(1, 2)))
    house.stream = entries(*records(1, 6))
    await house.feed.take(entries(record(6)))
    assert house.seqs == [2, 3, 4, 5, 6]
    assert house.reads == 1


async def test_a_jump_that_the_stream_does_not_hold_is_filled_from_the_ledger(house: House) -> None:
    epoch = house.store.epoch
    found = [record(seq, epoch=epoch) for seq in range(1, 7)]
    for each in found:
        await house.store.append(each)
    await house.feed.take(entries(*found[:2]))
    house.stream = entries(found[-1])
    await house.feed.take(entries(found[-1]))
    assert house.seqs == [2, 3, 4, 5, 6]


async def test_after_a_jump_that_nobody_can_fill_older_updates_are_not_replayed(house: House) -> None:
    await house.feed.take(entries(*records(1, 2)))
    await house.feed.take(entries(*records(6, 7)))
    assert house.seqs == [2, 6, 7]
    assert not await house.hub.holds(record(1).epoch, 2)
    assert await house.hub.holds(record(1).epoch, 6)


async def test_after_a_new_epoch_entries_of_the_former_one_are_ignored(house: House) -> None:
    await house.feed.take(entries(*records(1, 5)))
    await house.feed.take(entries(record(6, epoch="later"), fence=2))
    await house.feed.take(entries(*records(4, 8)))
    assert house.sent == [("k3v9", 5), ("later", 6)]
    assert not await house.hub.holds("k3v9", 5)


async def test_a_snapshot_of_the_ledger_is_shown_until_the_stream_has_a_newer_one(house: House) -> None:
    house.feed.restore(record(3))
    house.feed.restore(record(2))
    assert house.hub.latest.seq == 3
    await house.feed.take(entries(*records(2, 5)))
    assert house.seqs == [4, 5]
    assert [each.seq for each in house.feed.held()] == [3, 4, 5]


async def test_an_update_that_cannot_be_read_is_left_out(house: House) -> None:
    """Another version of the server may have made it."""
    foreign = [replace(record(seq), data=b'{"figures":"of another version"}') for seq in (2, 4)]
    await house.feed.take(entries(record(1), foreign[0], record(3)))
    await house.feed.take(entries(foreign[1], record(5)))
    assert house.seqs == [3, 5]
    assert not await house.hub.holds(record(1).epoch, 3)
