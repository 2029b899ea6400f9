"""The file of a ledger: private, complete when it is closed, and never with money as a floating-point number."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from pnl_backend.ledger.sqlite import Store
from tests.ledger.sqlite.ledger import NOON, MakeRecord, OpenStore


async def test_a_new_file_is_private(store: Store, path: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock"):
        assert stat.S_IMODE(Path(f"{path}{suffix}").stat().st_mode) == 0o600


async def test_a_wider_mode_is_narrowed(open_store: OpenStore, path: Path) -> None:
    path.parent.mkdir()
    path.touch(mode=0o644)
    await open_store()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_restatement_survives_the_loss_of_the_file(store: Store, record: MakeRecord, path: Path) -> None:
    await store.append(record(store))
    made = await store.restate("kalshi", "two accounts were summed", NOON)
    path.unlink()
    Path(f"{path}-wal").unlink()
    await store.append(record(store))
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT source, to_seq FROM restatements").fetchall() == [("kalshi", made.to_seq)]


async def test_a_closed_ledger_leaves_one_complete_file(store: Store, record: MakeRecord, path: Path) -> None:
    await store.append(record(store))
    await store.close()
    assert not Path(f"{path}-wal").exists()
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)


_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


async def test_no_column_of_money_is_real(store: Store, path: Path) -> None:
    with sqlite3.connect(path) as reader:
        tables = [name for (name,) in reader.execute(_TABLES)]
        types = {row[2] for table in tables for row in reader.execute(f"PRAGMA table_info({table})")}
    assert types == {"INTEGER", "TEXT", "BLOB"}


async def test_the_log_is_written_back_while_the_store_is_open(store: Store, record: MakeRecord, path: Path) -> None:
    big = b"x" * 20_000
    for _ in range(1200):
        await store.append(record(store, data=big))
    assert Path(f"{path}-wal").stat().st_size < 1200 * len(big) / 2
