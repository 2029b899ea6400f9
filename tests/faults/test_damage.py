"""A damaged page: found at the start, put aside under a dated name, and the service begins with a new epoch."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.ledger.sqlite import Store, integrity
from pnl_backend.simulator import Simulator
from tests.ledger.sqlite.ledger import MakeRecord
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import until


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A server with backups that has run and was stopped."""
    async with Simulator(step_interval=0.2, kalshi_rate=None) as simulator:
        env = FAST | {"BACKUP_DIR": "backups", **upstream_env(simulator, simulator.credentials())}
        server = await ServerProcess(tmp_path, **env).start()
        await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > 20)
        await server.until("/health", lambda _: list(tmp_path.glob("backups/*.db")) != [])
        assert await server.stop() == 0
        yield server
        await server.close()


def damage(path: Path, table: str = "snapshots_at") -> bytes:
    """Overwrite the root page of an index with rubbish; what the file is then."""
    with closing(sqlite3.connect(path)) as connection:
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
        ((size,),) = connection.execute("PRAGMA page_size")
    content = bytearray(path.read_bytes())
    content[(root - 1) * size : root * size] = b"\x5a" * size
    path.write_bytes(content)
    return bytes(content)


async def begins_anew(server: ServerProcess, old_epoch: str) -> dict[str, Any]:
    answer = await server.until("/api/pnl/current", lambda a: a["data"]["epoch"] != old_epoch and a["data"]["stored"])
    assert answer["data"]["seq"] < 1000
    health: dict[str, Any] = await server.get("/health")
    assert health["status"] == "healthy"
    assert "integrity" in health["degraded"]
    return health


async def test_a_damaged_page_is_found_at_the_start(served: ServerProcess, tmp_path: Path) -> None:
    ledger = tmp_path / "data" / "pnl.db"
    (old_epoch, first_run) = served.rows(
        "SELECT (SELECT epoch FROM epochs), (SELECT value FROM meta WHERE key = 'first_run')"
    )[0]
    content = damage(ledger)
    await served.start()
    health = await begins_anew(served, old_epoch)
    (aside,) = (file for file in ledger.parent.glob("pnl.db.damaged-*") if not file.name.endswith(("-wal", "-shm")))
    (backup,) = tmp_path.glob("backups/*.db")
    assert aside.read_bytes() == content, "nothing of the evidence is changed"
    for words in (aside.name, backup.name, "a new epoch begins"):
        assert words in health["parts"]["integrity"]["detail"]
        assert words in served.log
    assert served.rows("SELECT value FROM meta WHERE key = 'first_run'") == [(first_run,)]
    assert await served.stop() == 0
    await served.start()
    health = await served.until("/health", lambda h: h["parts"]["integrity"]["state"] == "whole")
    assert "integrity" not in health["degraded"]


async def test_a_first_page_of_zeros_is_damage_and_a_damaged_backup_is_not_offered(
    served: ServerProcess, tmp_path: Path
) -> None:
    ledger = tmp_path / "data" / "pnl.db"
    ((old_epoch,),) = served.rows("SELECT epoch FROM epochs")
    ledger.write_bytes(bytes(4096) + ledger.read_bytes()[4096:])
    (backup,) = tmp_path.glob("backups/*.db")
    damage(backup)
    await served.start()
    health = await begins_anew(served, old_epoch)
    assert "there is no undamaged backup" in health["parts"]["integrity"]["detail"]


async def test_a_damaged_cache_is_dropped(served: ServerProcess, tmp_path: Path) -> None:
    cache = tmp_path / "data" / "pnl-cache.db"
    damage(cache, "entries")
    await served.start()
    health = await served.until("/health", lambda h: h["parts"]["sqlite"]["ok"])
    assert health["status"] == "healthy"
    assert "The cache file is broken" in served.log
    assert cache.with_name("pnl-cache.db.broken").exists()


async def test_a_check_that_takes_too_long_goes_on_beside_the_service(
    store: Store, record: MakeRecord, path: Path
) -> None:
    for _ in range(300):
        await store.append(record(store))
    await store.close()
    assert integrity.quick_check(path, seconds=0.0) == "unfinished"
    damage(path)
    store = await Store.open(path, origin="live")
    found = integrity.Background(path, store.note_damage)
    found.start()
    assert found.running
    await until(lambda: not found.running)
    assert "is damaged" in (found.problem or "")
    await found.close()
    await store.close()
    # The next start does not need to come as far in its own check.
    inspection = integrity.inspect(path, backups=[], now=1.0)
    assert inspection.problem is not None
    assert not path.exists()
