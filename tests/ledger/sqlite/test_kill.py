"""Killed at any moment, the ledger holds every snapshot that was reported as stored, and continues after the last."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import shutil
import sqlite3
import struct
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pnl_backend.domain.record import Record
from pnl_backend.ledger.sqlite import Store
from tests.ledger.sqlite.recompute import kept, recomputed

WAL_HEADER, FRAME_HEADER = 32, 24
NOON = 1_772_020_800_000
Told = tuple[str, int, int]


def make(store: Store, rng: random.Random) -> Record:
    seq = store.last_seq + 1
    net, kalshi, costs, revenue = (rng.randrange(-(10**7), 10**7) for _ in range(4))
    blob = rng.randbytes(rng.randrange(10, 6000))
    return Record(store.epoch, seq, NOON + seq * 50, net, kalshi, costs, revenue, blob, blob[::-1])


def write_until_killed(path: str, told: Connection, seed: int) -> None:
    async def run() -> None:
        rng = random.Random(seed)
        store = await Store.open(path, origin="live")
        told.send(None)
        while True:
            record = make(store, rng)
            await store.append(record)
            told.send((record.epoch, record.seq, hash_of(record)))

    asyncio.run(run())


def hash_of(record: Record) -> int:
    return hash(
        (record.at, record.net_cents, record.kalshi_cents, record.costs_cents, record.revenue_cents, record.data)
    )


def run_and_kill(path: Path, seed: int) -> list[Told]:
    """What the writer told before it was killed, at a random moment of its work."""
    context = multiprocessing.get_context("fork")  # hashes agree, and a start costs milliseconds
    ours, theirs = context.Pipe(duplex=False)
    writer = context.Process(target=write_until_killed, args=(str(path), theirs, seed))
    writer.start()
    theirs.close()
    assert ours.poll(30)
    ours.recv()
    rng = random.Random(seed)
    told: list[Told] = []
    for _ in range(rng.randrange(40)):
        assert ours.poll(30)
        told.append(ours.recv())
    ours.poll(rng.random() / 500)  # somewhere within a transaction
    writer.kill()
    writer.join()
    try:
        while True:
            told.append(ours.recv())
    except EOFError:
        return told


@pytest.mark.slow(15)
def test_kill_at_random_moments(path: Path) -> None:
    told: list[Told] = []
    for seed in range(50):
        told += run_and_kill(path, seed)
        asyncio.run(look(path, told))
    assert len(told) > 100


async def look(path: Path, told: list[Told]) -> None:
    store = await Store.open(path, origin="live")
    held = {(one.epoch, one.seq): hash_of(one) for one in await store.newest(1_000_000)}
    last = store.last_seq
    await store.close()
    assert {(epoch, seq): value for epoch, seq, value in told}.items() <= held.items()
    assert sorted(seq for _, seq in held) == used(path, last)
    assert len({epoch for epoch, _ in held}) <= 1
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert reader.execute("SELECT seq FROM payloads").fetchall() == [(seq,) for _, seq in held]
    assert kept(path) == recomputed(path)


def used(path: Path, last: int) -> list[int]:
    """The numbers up to `last` that no start after a kill has skipped; each start skips a hundred thousand."""
    with closing(sqlite3.connect(path)) as reader:
        skips = reader.execute("SELECT first_seq, last_seq FROM skips ORDER BY first_seq").fetchall()
    numbers: list[int] = []
    following = 1
    for first, last_skipped in skips:
        numbers += range(following, first)
        following = max(following, last_skipped + 1)
    return [*numbers, *range(following, last + 1)]


def test_a_log_cut_off_at_any_frame_holds_a_whole_prefix(path: Path, tmp_path: Path) -> None:
    asyncio.run(leave_a_log(path, tmp_path / "left", count=25))
    log = Path(f"{tmp_path / 'left'}-wal").read_bytes()
    (page_size,) = struct.unpack(">I", log[8:12])
    frame = FRAME_HEADER + page_size
    frames = (len(log) - WAL_HEADER) // frame
    assert frames > 100
    rng = random.Random(1)
    lasts = []
    for number in range(frames + 1):
        copy = tmp_path / "copy" / "pnl.db"
        shutil.rmtree(copy.parent, ignore_errors=True)
        copy.parent.mkdir()
        shutil.copy(tmp_path / "left", copy)
        end = WAL_HEADER + number * frame
        torn = rng.randbytes(rng.randrange(frame)) if number % 2 else b""  # what a power cut may leave behind
        Path(f"{copy}-wal").write_bytes(log[:end] + torn)
        lasts.append(asyncio.run(prefix(copy)))
    assert lasts == sorted(lasts)
    assert set(lasts) == set(range(26))


async def leave_a_log(path: Path, left: Path, count: int) -> None:
    """Copy a ledger and its log as they lie there in the middle of the work."""
    rng = random.Random(0)
    await (await Store.open(path, origin="live")).close()
    store = await Store.open(path, origin="live")
    for _ in range(count):
        await store.append(make(store, rng))
    shutil.copy(path, left)
    shutil.copy(f"{path}-wal", f"{left}-wal")
    await store.close()


async def prefix(path: Path) -> int:
    """The last number of a file that must hold every snapshot up to it, whole."""
    store = await Store.open(path, origin="live")
    held = await store.newest(1000)
    last = len(held)
    await store.close()
    assert [one.seq for one in held] == list(range(1, last + 1))
    assert all(one.detail == one.data[::-1] for one in held)
    assert kept(path) == recomputed(path)
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return last
