"""A ledger read from beside: the same rows, and nothing of it changed; what cannot be read is told in plain words."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pnl_backend.errors import StoreError
from pnl_backend.ledger.location import Location
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.sqlite.ledger_file import APPLICATION_ID
from pnl_backend.ledger.sqlite.migrations import VERSION, migrate
from tests.ledger.sqlite.ledger import NOON, MakeRecord

END = NOON * 2


async def test_a_ledger_is_read_from_beside_a_running_server_and_after_it(
    store: Store, record: MakeRecord, path: Path
) -> None:
    for _ in range(200):
        await store.append(record(store))
    expected = await store.history(NOON, END, "5m")
    async with Location(path).history(timezone="UTC") as history:
        assert [row async for chunk in history.chunks(NOON, END, "5m") for row in chunk] == expected
        await store.append(record(store))
        assert sum(row.count for row in await history.rows(NOON, END, "1h", None)) == 201
    await store.close()
    before = path.read_bytes()
    async with Location(path).history(timezone="UTC") as history:
        assert sum(row.count for row in await history.rows(NOON, END, "5m", None)) == 201
    assert path.read_bytes() == before


async def refused(path: Path, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        async with Location(path).history(timezone="UTC"):
            pass


async def test_what_is_no_ledger_of_this_version_is_not_read(tmp_path: Path) -> None:
    missing, rubbish, foreign, older, newer = (tmp_path / name for name in "abcde")
    await refused(missing, "there is no ledger")
    rubbish.write_bytes(b"no database" * 100)
    await refused(rubbish, "not an SQLite database")
    with closing(sqlite3.connect(foreign)) as other:
        other.execute("CREATE TABLE theirs (a)")
    await refused(foreign, "not a ledger of this server")
    for file, version, words in ((older, VERSION - 1, "older version"), (newer, VERSION + 1, "newer version")):
        with closing(sqlite3.connect(file, isolation_level=None)) as ledger:
            ledger.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrate(ledger, lambda *_: None, to=min(version, VERSION))
            ledger.execute(f"PRAGMA user_version = {version}")
        await refused(file, words)
