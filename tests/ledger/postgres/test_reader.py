"""A node that does not write reads the ledger as another node stores it, with a role that may only read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from pnl_backend.domain.record import Marks
from pnl_backend.errors import StoreError
from pnl_backend.ledger.postgres import Reader, Store
from tests.ledger.postgres.conftest import Open
from tests.ledger.sqlite.ledger import NOON, MakeRecord
from tests.ledger.store.places import PostgresPlace, crash
from tests.support.postgres import READ_ONLY_USER

OpenReader = Callable[..., Awaitable[Reader]]


@pytest.fixture
def viewer(place: PostgresPlace) -> str:
    """The address of the ledger for a role that may only read."""
    return place.server.url_of(place.url.rpartition("/")[2], READ_ONLY_USER)


async def test_a_reader_sees_what_the_writer_adds(
    store: Store, record: MakeRecord, open_reader: OpenReader, viewer: str
) -> None:
    reader = await open_reader(viewer)
    assert (reader.epoch, reader.last_seq, await reader.latest()) == (store.epoch, 0, None)
    for _ in range(3):
        await store.append(record(store))
    assert await reader.latest() == await store.latest()
    assert reader.last_seq == 3
    assert await reader.since(store.epoch, 1) == await store.since(store.epoch, 1)
    assert await reader.holds(store.epoch, 0, 3)
    assert await reader.history(NOON, NOON + 60_000, "1m") == await store.history(NOON, NOON + 60_000, "1m")
    assert await reader.daily_closes(1) == await store.daily_closes(1)
    assert reader.first_run == store.first_run


async def test_a_reader_follows_epochs_skips_and_restatements(
    open_store: Open, record: MakeRecord, open_reader: OpenReader, viewer: str, place: PostgresPlace
) -> None:
    store = await open_store()
    await store.append(record(store, marks=Marks(whole=("kalshi",))))
    reader = await open_reader(viewer)
    made = await store.restate("kalshi", "two accounts were summed", NOON)
    assert await reader.first_complete(0, ["kalshi"]) is None
    assert (reader.restatements, reader.restated_to) == ((made,), 1)
    await crash(place, store)
    store = await open_store()
    await store.append(record(store))
    assert [one.seq for one in await reader.since(store.epoch, 1) or []] == [store.last_seq]
    assert await reader.since(store.epoch, 2) is None
    former = store.epoch
    begun = await store.begin_epoch(store.last_seq + 10)
    await store.append(record(store))
    await reader.refresh()
    assert (reader.epoch, reader.last_seq) == (begun, store.last_seq)
    assert await reader.since(former, 1) is None
    assert (await reader.newest(1))[0].epoch == begun


async def test_a_reader_writes_nothing(store: Store, record: MakeRecord, open_reader: OpenReader, viewer: str) -> None:
    reader = await open_reader(viewer)
    with pytest.raises(StoreError, match="this node only reads"):
        await reader.append(record(store))
    with pytest.raises(StoreError, match="this node only reads"):
        await reader.probe()


async def test_the_secret_is_the_writers(store: Store, open_reader: OpenReader, viewer: str) -> None:
    reader = await open_reader(viewer)
    with pytest.raises(StoreError, match="no secret yet"):
        await reader.secret()
    assert await store.secret() == await reader.secret()


async def test_a_reader_waits_for_a_database_and_for_a_ledger(
    open_reader: OpenReader, place: PostgresPlace, record: MakeRecord
) -> None:
    empty = place.server.database(empty=True)
    with pytest.raises(StoreError, match="holds no ledger yet"):
        await open_reader(empty)
    reader = await open_reader(empty, tolerant=True)
    assert (reader.epoch, reader.last_seq) == ("", 0)
    with pytest.raises(StoreError, match="holds no ledger yet"):
        await reader.latest()
    assert reader.health()["state"] == "down"
    writer = await Store.open(empty, origin="live")
    await writer.append(record(writer))
    newest = await reader.latest()
    assert newest is not None
    assert (reader.epoch, reader.health()["state"]) == (writer.epoch, "connected")
    await writer.close()


async def test_a_reader_goes_on_after_its_sessions_were_ended(
    store: Store, record: MakeRecord, open_reader: OpenReader, viewer: str, place: PostgresPlace
) -> None:
    await store.append(record(store))
    reader = await open_reader(viewer)
    assert place.server.end_sessions("pnl-backend reader%") >= 1
    assert [one.seq for one in await reader.newest(1)] == [1]


async def test_a_reader_of_the_demo_does_not_open_real_figures(
    store: Store, open_reader: OpenReader, place: PostgresPlace
) -> None:
    with pytest.raises(StoreError, match="holds live figures, this server is demo"):
        await open_reader(origin="demo")
