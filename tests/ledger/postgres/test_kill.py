"""The process that writes is killed at random moments: every snapshot that it reported as stored is held."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from multiprocessing.connection import Connection

from pnl_backend.domain.record import Record
from pnl_backend.ledger.postgres import Store
from tests.ledger.sqlite.test_kill import hash_of, make
from tests.ledger.store.places import PostgresPlace

RUNS = 8
Stored = tuple[str, int, int]


def write_until_killed(url: str, to_test: Connection, seed: int) -> None:
    async def run() -> None:
        rng = random.Random(seed)
        store = await Store.open(url, origin="live")
        to_test.send(None)
        while True:
            record: Record = make(store, rng)  # type: ignore[arg-type] # a store of the other kind
            await store.append(record)
            to_test.send((record.epoch, record.seq, hash_of(record)))

    asyncio.run(run())


def run_and_kill(url: str, seed: int) -> list[Stored]:
    """Start a writer, kill it somewhere within a transaction, and return what it reported as stored."""
    rng = random.Random(seed)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    writer = multiprocessing.Process(target=write_until_killed, args=(url, theirs, seed), daemon=True)
    writer.start()
    theirs.close()
    assert ours.poll(60)
    ours.recv()
    stored: list[Stored] = []
    for _ in range(rng.randrange(30)):
        assert ours.poll(60)
        stored.append(ours.recv())
    ours.poll(rng.random() / 300)
    writer.kill()
    writer.join()
    try:
        while True:
            stored.append(ours.recv())
    except EOFError:
        return stored


def test_killed_at_random_moments_nothing_is_lost(place: PostgresPlace) -> None:
    stored: list[Stored] = []
    for seed in range(RUNS):
        stored += run_and_kill(place.url, seed)
    assert len(stored) > RUNS
    asyncio.run(look(place, stored))


async def look(place: PostgresPlace, stored: list[Stored]) -> None:
    store = await place.open()
    held = {(one.epoch, one.seq): hash_of(one) for one in await store.newest(100_000)}
    last = store.last_seq
    await store.close()
    assert {(epoch, seq): value for epoch, seq, value in stored}.items() <= held.items()
    skipped = {
        seq for first, last in place.ask("SELECT first_seq, last_seq FROM skips") for seq in range(first, last + 1)
    }
    assert {seq for _, seq in held} == set(range(1, last + 1)) - skipped
    assert place.ask("SELECT count(*) FROM payloads") == place.ask("SELECT count(*) FROM snapshots") == [(len(held),)]
    assert place.ask("SELECT sum(count) FROM rollups WHERE span = 60000") == [(len(held),)]
