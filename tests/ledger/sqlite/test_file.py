"""Which files the ledger opens, and in what words it refuses the others."""

from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.sqlite.ledger_file import APPLICATION_ID
from pnl_backend.ledger.sqlite.migrations import VERSION, migrate
from tests.ledger.sqlite.ledger import MakeRecord, OpenStore


async def refused(path: Path, words: str) -> None:
    before = path.read_bytes()
    with pytest.raises(StoreError, match=words):
        await Store.open(path, origin="live", busy_timeout_ms=50)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all, " * 100)
    await refused(path, "not an SQLite database")


async def test_another_programs_database(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")
    await refused(path, "not a ledger of this server")


async def test_a_newer_ledger(open_store: OpenStore, path: Path) -> None:
    await (await open_store()).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {VERSION + 1}")
    await refused(path, "newer version")


async def test_demo_and_live_never_mix(open_store: OpenStore, path: Path) -> None:
    await (await open_store(origin="demo")).close()
    await refused(path, "holds demo figures, this server is live")
    assert (await open_store(origin="demo")).last_seq == 0


async def test_a_damaged_ledger(open_store: OpenStore, path: Path) -> None:
    await (await open_store()).close()
    content = bytearray(path.read_bytes())
    content[100:] = b"\x5a" * (len(content) - 100)
    path.write_bytes(content)
    await refused(path, "damaged|not an SQLite database")


async def test_a_directory_that_cannot_be_made(path: Path) -> None:
    path.parent.write_text("in the way")
    with pytest.raises(StoreError, match=r"pnl\.db: (file exists|not a directory)"):
        await Store.open(path, origin="live")


async def test_one_server_a_ledger(store: Store, path: Path) -> None:
    with pytest.raises(StoreError, match="in use by another server"):
        await Store.open(path, origin="live")
    await store.probe()


async def test_the_holder_ends_and_the_next_one_takes_over(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold, args=(str(path), theirs))
    holder.start()
    epoch = ours.recv()
    holder.kill()
    holder.join()
    store = await Store.open(path, origin="live")
    assert store.epoch == epoch
    await store.close()


def _hold(path: str, pipe: object) -> None:
    import asyncio

    async def run() -> None:
        store = await Store.open(path, origin="live")
        pipe.send(store.epoch)  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    asyncio.run(run())


@pytest.mark.parametrize("version", range(VERSION))
async def test_every_older_schema_is_brought_up(
    open_store: OpenStore, path: Path, record: MakeRecord, version: int
) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(old, lambda *_: None, to=version)
    store = await open_store()
    await store.append(record(store))
    with closing(sqlite3.connect(path)) as now:
        assert now.execute("PRAGMA user_version").fetchone() == (VERSION,)


async def test_a_schema_step_that_fails_leaves_the_version_before(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("CREATE TABLE payloads (theirs)")
        with pytest.raises(sqlite3.OperationalError, match="payloads already exists"):
            migrate(old, lambda *_: None)
        assert old.execute("PRAGMA user_version").fetchone() == (0,)
        assert old.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (1,)
