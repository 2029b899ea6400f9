"""Only one node writes a shared ledger: a newer fence refuses every write of an older one."""

from __future__ import annotations

import asyncio

import pytest

from pnl_backend.domain.ledger_facts import Transfer
from pnl_backend.domain.money import ZERO
from pnl_backend.errors import Fenced, StoreError
from pnl_backend.ledger.postgres import Store, head_of
from pnl_backend.ledger.postgres.schema import SHARED_KEY
from pnl_backend.ledger.sql.numbering import LEAST_SKIP
from tests.ledger.postgres.conftest import Open
from tests.ledger.sqlite.ledger import NOON, MakeRecord
from tests.ledger.store.places import PostgresPlace, crash
from tests.waiting import until


async def test_a_second_server_without_a_fence_is_refused(store: Store, place: PostgresPlace) -> None:
    with pytest.raises(StoreError, match="in use by another server"):
        await place.open()
    with pytest.raises(StoreError, match="in use by another server"):
        await place.open(fence=1)
    await store.probe()
    await store.close()
    again = await place.open()
    assert again.epoch == store.epoch
    await again.close()


async def test_a_server_waits_for_the_session_of_one_that_is_gone(place: PostgresPlace) -> None:
    """PostgreSQL ends a session a moment after its connection is closed."""
    with place.server.admin(place.url.rpartition("/")[2]) as gone:
        gone.execute("SELECT pg_advisory_lock(%s, hashtext('public'))", (SHARED_KEY,))
        opening = asyncio.create_task(place.open())
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_lock%'"
        await until(lambda: gone.execute(waiting).fetchone() == (1,))
        assert not opening.done()
    store = await opening
    await store.close()


async def test_a_server_without_a_fence_does_not_enter_a_cluster(open_store: Open, place: PostgresPlace) -> None:
    await open_store(fence=1)
    with pytest.raises(StoreError, match="in use by another server"):
        await place.open()


async def test_a_newer_fence_takes_the_ledger(open_store: Open, record: MakeRecord, place: PostgresPlace) -> None:
    old = await open_store(fence=7)
    await old.append(record(old))
    assert await head_of(place.url) == (7, 1, old.epoch)
    new = await open_store(fence=8)
    assert (new.epoch, new.last_seq, new.fence) == (old.epoch, 1, 8)
    await new.append(record(new, net_cents=77))
    with pytest.raises(Fenced, match="another node writes the ledger now") as refused:
        await old.append(record(old, 2, net_cents=5))
    assert refused.value.fence == 8
    assert not refused.value.retryable
    assert old.last_seq == 1
    assert [one.net_cents for one in await new.newest(5)] == [1, 77]
    assert await head_of(place.url) == (8, 2, old.epoch)


async def test_nothing_at_all_is_written_with_an_older_fence(open_store: Open, place: PostgresPlace) -> None:
    old = await open_store(fence=1)
    await open_store(fence=2)
    moved = Transfer("deposit", "1", ZERO + 5, ZERO, "applied", 1, 2)
    for write in (
        old.probe(),
        old.restate("kalshi", "wrong", 1),
        old.note_whole(),
        old.facts.add_transfers([moved], 3),
        old.begin_epoch(100),
        old.prune(1),
    ):
        with pytest.raises(Fenced):
            await write
    assert place.ask("SELECT count(*) FROM transfers") == [(0,)]
    assert place.ask("SELECT count(*) FROM restatements") == [(0,)]
    before = place.ask("SELECT * FROM meta ORDER BY key")
    await old.close()
    assert place.ask("SELECT * FROM meta ORDER BY key") == before, "closing writes nothing"


@pytest.mark.parametrize("fence", [5, 4])
async def test_an_equal_or_older_fence_cannot_open_it(open_store: Open, place: PostgresPlace, fence: int) -> None:
    await open_store(fence=5)
    with pytest.raises(Fenced) as refused:
        await place.open(fence=fence)
    assert refused.value.fence == 5


async def test_the_same_writer_goes_on_after_its_session_was_ended(
    open_store: Open, record: MakeRecord, place: PostgresPlace
) -> None:
    for fence in (3, None):
        store = await open_store(fence=fence) if fence else await _alone(open_store, place)
        await store.append(record(store))
        assert place.server.end_sessions("pnl-backend%") >= 1
        await store.append(record(store))
        assert store.health()["state"] == "connected"
        await store.close()


async def _alone(open_store: Open, place: PostgresPlace) -> Store:
    return await open_store()


async def test_a_fenced_writer_cannot_come_back_by_connecting_again(
    open_store: Open, record: MakeRecord, place: PostgresPlace
) -> None:
    old = await open_store(fence=1)
    new = await open_store(fence=2)
    place.server.end_sessions("pnl-backend%")
    for _ in range(2):
        with pytest.raises(Fenced):
            await old.append(record(old))
    await new.append(record(new))
    assert (await new.newest(5))[0].seq == 1


async def test_a_takeover_leaves_no_number_out(open_store: Open, record: MakeRecord, place: PostgresPlace) -> None:
    first = await open_store(fence=1)
    await first.append(record(first))
    await crash(place, first)
    second = await open_store(fence=2)
    assert second.last_seq == 1
    await crash(place, second)
    alone = await open_store()
    assert alone.last_seq > LEAST_SKIP, "nobody knows what was published"


async def test_a_takeover_with_an_empty_stream_skips_what_may_have_been_published(
    open_store: Open, record: MakeRecord, place: PostgresPlace
) -> None:
    first = await open_store(fence=1)
    await first.skip_unpublished()
    assert first.last_seq == 0, "nothing was ever stored"
    await first.append(record(first))
    await first.close()
    second = await open_store(fence=2)
    await second.skip_unpublished()
    assert second.last_seq == 1, "the former run ended cleanly"
    await crash(place, second)
    third = await open_store(fence=3)
    await third.skip_unpublished()
    taken = third.last_seq
    assert taken > LEAST_SKIP
    await third.skip_unpublished()
    assert third.last_seq == taken
    await third.append(record(third, at=NOON))
    assert [one.seq for one in await third.since(third.epoch, 1) or []] == [taken + 1]
    assert (await head_of(place.url)).seq == taken + 1


async def test_a_new_epoch_begins_after_what_clients_have_seen(
    open_store: Open, record: MakeRecord, place: PostgresPlace
) -> None:
    store = await open_store(fence=1)
    await store.append(record(store))
    former = store.epoch
    begun = await store.begin_epoch(50)
    assert begun != former
    assert (store.epoch, store.last_seq) == (begun, 50)
    assert await store.since(former, 1) is None
    assert await store.since(begun, 50) == []
    await store.append(record(store))
    assert [one.epoch for one in await store.newest(5)] == [former, begun]
    assert [one.seq for one in await store.since(begun, 50) or []] == [51]
    with pytest.raises(StoreError, match="51 is taken"):
        await store.begin_epoch(50)
    await store.close()
    again = await open_store(fence=2)
    assert (again.epoch, again.last_seq) == (begun, 51)


async def test_the_head_of_an_empty_database_is_zero(place: PostgresPlace) -> None:
    empty = place.server.database(empty=True)
    assert await head_of(empty) == (0, 0, "")
    place.server.drop(empty)
