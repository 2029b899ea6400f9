"""A start on a ledger that cannot be written: it is read, and taken up when it can be written."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.sqlite.standby import may_pass
from tests.ledger.sqlite.ledger import MakeRecord, OpenStore


async def blocked(open_store: OpenStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that was opened while its directory refused every new file."""
    refusing = True
    real = os.open

    def refuse(file: object, flags: int, *more: int, **named: int) -> int:
        if refusing and str(file).startswith(str(path)) and flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(file))
        return real(file, flags, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    store = await open_store(tolerant=True)
    refusing = False
    return store


async def test_an_existing_ledger_is_read_and_gets_the_run_s_epoch(
    open_store: OpenStore, record: MakeRecord, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await open_store()
    for _ in range(3):
        await first.append(record(first))
    secret = await first.secret()
    await first.close()
    store = await blocked(open_store, path, monkeypatch)
    assert store.health()["state"] == "down"
    assert store.epoch != first.epoch
    assert store.last_seq == 3
    assert [one.epoch for one in await store.newest(10)] == [first.epoch] * 3
    assert await store.secret() == secret, "what was sealed before is still recognised"
    await store.forget_account()
    await store.append(record(store))
    assert (await store.since(store.epoch, 3) or [])[0].seq == 4
    assert await store.since(first.epoch, 3) is None
    assert store.health()["state"] == "connected"
    await store.close()
    again = await open_store()
    assert (again.epoch, again.last_seq) == (store.epoch, 4), "it ended cleanly"
    assert [one.epoch for one in await again.newest(10)] == [first.epoch] * 3 + [store.epoch]


async def test_no_ledger_at_all(
    open_store: OpenStore, record: MakeRecord, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    store = await blocked(open_store, path, monkeypatch)
    assert await store.newest(10) == []
    secret = await store.secret()
    await store.append(record(store))
    assert await store.secret() == secret
    assert [one.seq for one in await store.newest(10)] == [1]


async def test_a_ledger_that_goes_further_than_was_known_is_not_written_into(
    open_store: OpenStore, record: MakeRecord, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path.parent.mkdir()
    other = await open_store(tmp_path / "other.db")
    await other.append(record(other))
    await other.close()
    store = await blocked(open_store, path, monkeypatch)
    (tmp_path / "other.db").rename(path)
    with pytest.raises(StoreError, match="restart the server"):
        await store.append(record(store))
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)


async def test_what_does_not_pass_by_itself_is_refused_all_the_same(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all, " * 100)
    with pytest.raises(StoreError, match="not an SQLite database") as raised:
        await Store.open(path, origin="live", tolerant=True)
    assert not may_pass(raised.value)
