"""Sequence numbers across stops: none is ever used twice, and a client gets an answer that it can rely on."""

from __future__ import annotations

import pytest

from pnl_backend.domain.times import SHORTEST_INTERVAL_MS
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.numbering import LEAST_SKIP, Skips
from tests.ledger.sqlite.ledger import NOON, MakeRecord, OpenStore
from tests.ledger.store.places import Place, crash


async def test_a_clean_stop_skips_no_number(open_store: OpenStore, record: MakeRecord) -> None:
    for wanted in (1, 2, 3):
        store = await open_store()
        await store.append(record(store))
        assert store.last_seq == wanted
        await store.close()


async def test_an_unclean_stop_skips_more_numbers_than_can_have_been_published(
    open_store: OpenStore, record: MakeRecord, place: Place
) -> None:
    now = NOON / 1000
    store = await open_store(clock=lambda: now)
    await store.append(record(store, at=NOON))
    await crash(place, store)
    later = 3_600_000
    again = await open_store(clock=lambda: now + later / 1000)
    assert again.last_seq == 1 + LEAST_SKIP + later // SHORTEST_INTERVAL_MS
    await again.append(record(again))
    first = again.last_seq
    assert [one.seq for one in await again.since(again.epoch, 1) or []] == [first], "nothing stored is missing"
    assert await again.since(again.epoch, 2) is None, "it may have been published, and is not held"
    assert await again.since(again.epoch, first - 2) is None
    assert await again.since(again.epoch, first) == []
    await again.append(record(again, net_cents=5))
    assert [one.seq for one in await again.since(again.epoch, 1) or []] == [first, first + 1]
    assert place.ask("SELECT prev_seq, seq FROM deltas ORDER BY seq")[0] == (1, first)
    assert place.ask("SELECT * FROM gaps") == [], "no row was lost"


async def test_crash_upon_crash_is_one_skip(open_store: OpenStore, record: MakeRecord, place: Place) -> None:
    store = await open_store()
    await store.append(record(store))
    await crash(place, store)
    for _ in range(2):
        store = await open_store()
        assert await store.since(store.epoch, 1) == []
        await crash(place, store)
    store = await open_store()
    await store.append(record(store))
    assert [one.seq for one in await store.since(store.epoch, 1) or []] == [store.last_seq]
    assert place.ask("SELECT first_seq, last_seq FROM skips") == [(2, store.last_seq - 1)]


async def test_a_stop_while_the_ledger_is_down_is_not_clean(
    open_store: OpenStore, record: MakeRecord, place: Place
) -> None:
    store = await open_store()
    await store.append(record(store))
    with place.refusing():
        with pytest.raises(StoreError):
            await store.append(record(store))
        await store.close()
    assert (await open_store()).last_seq > 1 + LEAST_SKIP


async def test_a_clock_that_was_set_back_takes_nothing_from_the_skip(
    open_store: OpenStore, record: MakeRecord, place: Place
) -> None:
    store = await open_store(clock=lambda: NOON / 1000)
    await store.append(record(store, at=NOON))
    await crash(place, store)
    again = await open_store(clock=lambda: NOON / 1000 - 10_000)
    assert again.last_seq == 1 + LEAST_SKIP


def test_numbers_between_are_counted_within_the_range_alone() -> None:
    skips = Skips([(5, 9), (20, 29)])
    assert [skips.between(0, 4), skips.between(0, 5), skips.between(4, 9), skips.between(6, 40)] == [0, 1, 5, 13]
    assert (skips.ends_at(9), skips.ends_at(8)) == (True, False)
