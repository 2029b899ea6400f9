"""Retention, backup and restore, while the server writes and when things are not as they should be."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from loguru import logger

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store, maintenance
from pnl_backend.ledger.sqlite.migrations import VERSION
from pnl_backend.ledger.upkeep import Upkeep
from tests.ledger.sqlite.ledger import NOON, MakeRecord, OpenStore
from tests.ledger.sqlite.recompute import kept

DAY_MS = 86_400_000
DAY = 86_400


def quiet(_what: str, _done: int, _of: int) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "backups"


async def fill(store: Store, record: MakeRecord, count: int, step: int = 5000) -> None:
    for _ in range(count):
        await store.append(record(store, at=NOON + (store.last_seq + 1) * step))


def back_up(path: Path, place: Path, now: float = NOON / 1000, keep_days: int = 30) -> Path:
    return maintenance.backup(path, place, keep_days=keep_days, now=now, progress=quiet)


async def test_old_raw_rows_go_and_what_is_measured_against_stays(
    open_store: OpenStore, record: MakeRecord, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pnl_backend.ledger.sql.retention.PRUNE_BATCH", 7)
    hours = 24 * 10
    store = await open_store(clock=lambda: NOON / 1000 + hours * 3600)
    await fill(store, record, hours, step=3_600_000)
    before = kept(path)
    closings = [await store.last_complete_before(NOON - NOON % DAY_MS + n * DAY_MS, []) for n in range(1, 8)]
    first = await store.first_complete(0, [])
    gone = await store.prune(3, replay_rows=0)
    assert gone > 100
    assert await store.prune(3, replay_rows=0) == 0
    assert kept(path) == before
    assert [await store.last_complete_before(NOON - NOON % DAY_MS + n * DAY_MS, []) for n in range(1, 8)] == closings
    assert await store.first_complete(0, []) == first
    assert len(await store.newest(1000)) == hours - gone
    assert len(await store.history(NOON, NOON + hours * 3_600_000, "1h")) == hours
    recent = await store.history(NOON + (hours - 72) * 3_600_000, NOON + hours * 3_600_000, "raw")
    assert len(recent) == 73
    assert await store.since(store.epoch, 30) is None
    assert not await store.holds(store.epoch, 30, store.last_seq)


async def test_what_clients_may_request_as_a_replay_is_never_pruned(
    open_store: OpenStore, record: MakeRecord, path: Path
) -> None:
    store = await open_store(clock=lambda: NOON / 1000 + 1000 * DAY)
    await fill(store, record, 50)
    assert await store.prune(1) == 0
    assert len(await store.since(store.epoch, 0) or []) == 50


async def test_appends_go_on_while_rows_are_let_go(
    open_store: OpenStore, record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pnl_backend.ledger.sql.retention.PRUNE_BATCH", 5)
    store = await open_store(clock=lambda: NOON / 1000 + 1000 * DAY)
    await fill(store, record, 400)
    pruning = asyncio.create_task(store.prune(1, replay_rows=10))
    while not pruning.done():
        await fill(store, record, 1)
    assert await pruning > 300
    assert (await store.newest(1))[0].seq == store.last_seq


async def test_a_backup_taken_during_writes_is_a_whole_prefix(
    store: Store, record: MakeRecord, path: Path, place: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pnl_backend.ledger.sqlite.maintenance.COPY_PAGES", 5)
    await fill(store, record, 300)
    task = asyncio.create_task(store.backup(place, keep_days=30))
    while not task.done():
        await fill(store, record, 1)
    made = await task
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert [file.name for file in place.iterdir()] == [made.name]
    last = maintenance.verify(made, quiet)
    assert 300 <= last <= store.last_seq
    await store.close()
    maintenance.restore(made, path, now=NOON / 1000, progress=quiet)
    again = await open_store()
    assert [one.seq for one in await again.newest(10_000)] == list(range(1, last + 1))
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT sum(count) FROM rollups WHERE span = 60000").fetchone() == (last,)


@pytest.mark.parametrize("stage", ["COPY_PAGES", "CHECK_STEPS"])
async def test_a_backup_that_is_cancelled_leaves_nothing_behind(
    store: Store, record: MakeRecord, place: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setattr(f"pnl_backend.ledger.sqlite.maintenance.{stage}", 1)
    await fill(store, record, 50)
    told, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    word = {"COPY_PAGES": "Copying", "CHECK_STEPS": "Checking"}[stage]

    def hold_up(_log: object, what: str, done: int, of: int) -> None:
        if what == word and done < of:
            loop.call_soon_threadsafe(told.set)
            go_on.wait(30)

    monkeypatch.setattr("pnl_backend.ledger.sql.progress.ProgressLog.__call__", hold_up)
    task = asyncio.create_task(store.backup(place, keep_days=1))
    await told.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    go_on.set()
    await loop.shutdown_default_executor()
    assert list(place.iterdir()) == []


async def test_old_backups_go_and_other_files_stay(store: Store, record: MakeRecord, path: Path, place: Path) -> None:
    await fill(store, record, 3)
    now = NOON / 1000
    place.mkdir()
    (place / "pnl-notes.db").write_text("mine")
    made = [back_up(path, place, now + n * DAY, keep_days=2) for n in range(5)]
    assert maintenance.backups(path, place) == made[2:]
    assert (place / "pnl-notes.db").read_text() == "mine"
    last = back_up(path, place, now + 100 * DAY, keep_days=2)
    assert maintenance.backups(path, place) == [last]


async def test_a_restored_ledger_begins_a_new_epoch_and_the_old_one_is_kept(
    open_store: OpenStore, record: MakeRecord, path: Path, place: Path
) -> None:
    store = await open_store()
    await fill(store, record, 5)
    made = back_up(path, place)
    await fill(store, record, 5)
    epoch = store.epoch
    await store.close()
    aside = maintenance.restore(made, path, now=NOON / 1000, progress=quiet)
    assert aside is not None
    assert maintenance.verify(aside, quiet) == 10
    again = await open_store()
    assert again.epoch != epoch
    assert again.last_seq == 5
    assert [one.epoch for one in await again.newest(10)] == [epoch] * 5
    assert await again.since(epoch, 3) is None
    assert await again.since(again.epoch, 5) == []
    await fill(again, record, 2)
    assert [one.epoch for one in await again.newest(2)] == [again.epoch] * 2
    assert len(await again.since(again.epoch, 5) or []) == 2
    assert await again.since(again.epoch, 4) is None


async def test_a_ledger_in_use_is_not_restored_over(store: Store, record: MakeRecord, path: Path, place: Path) -> None:
    await fill(store, record, 2)
    made = back_up(path, place)
    with pytest.raises(StoreError, match="in use by another server"):
        maintenance.restore(made, path, now=0, progress=quiet)
    await fill(store, record, 1)
    assert len(await store.newest(10)) == 3


async def test_a_damaged_ledger_can_be_restored_over(
    store: Store, record: MakeRecord, path: Path, place: Path, open_store: OpenStore
) -> None:
    await fill(store, record, 2)
    made = back_up(path, place)
    await store.close()
    path.write_bytes(b"rubbish" * 1000)
    maintenance.restore(made, path, now=0, progress=quiet)
    assert (await open_store()).last_seq == 2


async def test_what_is_not_a_backup_is_refused(store: Store, record: MakeRecord, path: Path, place: Path) -> None:
    await fill(store, record, 50)
    made = back_up(path, place)
    await store.close()
    before = path.read_bytes()

    def refused(file: Path, words: str) -> None:
        with pytest.raises(StoreError, match=words):
            maintenance.restore(file, path, now=0, progress=quiet)
        assert path.read_bytes() == before

    rubbish, foreign, newer, damaged, empty = (place / name for name in "abcde")
    rubbish.write_bytes(b"not a database" * 100)
    refused(rubbish, "not an SQLite database")
    with closing(sqlite3.connect(foreign)) as other:
        other.execute("CREATE TABLE theirs (a)")
    refused(foreign, "not a ledger of this server")
    shutil.copy(made, newer)
    with closing(sqlite3.connect(newer)) as other:
        other.execute(f"PRAGMA user_version = {VERSION + 1}")
    refused(newer, "newer version")
    content = bytearray(made.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    damaged.write_bytes(content)
    refused(damaged, "damaged")
    empty.touch()
    refused(empty, "is empty")
    refused(place / "missing", "there is no backup")


def test_there_is_nothing_to_back_up(path: Path, place: Path) -> None:
    with pytest.raises(StoreError, match="there is no ledger"):
        back_up(path, place)


async def test_a_backup_directory_is_its_owner_s_alone(store: Store, path: Path, place: Path, tmp_path: Path) -> None:
    def mode(directory: Path) -> int:
        return stat.S_IMODE(directory.stat().st_mode)

    back_up(path, place / "daily")
    assert mode(place / "daily") == 0o700
    place = tmp_path / "of-an-earlier-version"
    place.mkdir(mode=0o755)
    back_up(path, place)
    assert mode(place) == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "somebody-s.txt").touch()
    back_up(path, shared)
    assert mode(shared) == 0o755


async def test_a_backup_into_an_impossible_directory_is_reported(store: Store, path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file exists|not a directory"):
        back_up(path, tmp_path / "file" / "backups")


async def test_backups_and_restores_log_their_progress(
    store: Store, record: MakeRecord, path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pnl_backend.ledger.sqlite.maintenance.COPY_PAGES", 5)
    await fill(store, record, 100)
    told: list[tuple[str, int, int]] = []
    maintenance.backup(path, place, keep_days=1, now=0, progress=lambda *step: told.append(step))
    copying = [(done, of) for what, done, of in told if what == "Copying"]
    assert len(copying) > 3
    assert [done for done, _ in copying] == sorted(done for done, _ in copying)
    assert copying[-1][0] == copying[-1][1]
    assert told[-1] == ("Checking", 1, 1)


async def test_upkeep_backs_up_once_a_day(open_store: OpenStore, record: MakeRecord, path: Path, place: Path) -> None:
    now = [NOON / 1000]
    store = await open_store(clock=lambda: now[0])
    await fill(store, record, 2)
    upkeep = Upkeep(store, path=path, retention_days=30, backup_dir=place, backup_keep_days=3, clock=lambda: now[0])
    counts = []
    for hours in (0, 1, 23, 1, 24, 24, 24):
        now[0] += hours * 3600
        await upkeep.round()
        counts.append(len(maintenance.backups(path, place)))
    assert counts == [1, 1, 2, 2, 3, 3, 3]


async def test_upkeep_goes_on_after_a_failure(store: Store, path: Path, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    failed, made = asyncio.Event(), asyncio.Event()

    def heard(line: str) -> None:
        for event, words in ((failed, "Maintenance of the ledger failed"), (made, "was backed up to")):
            if words in line:
                loop.call_soon_threadsafe(event.set)

    sink = logger.add(heard)
    place = tmp_path / "in the way"
    place.touch()
    upkeep = Upkeep(store, path=path, retention_days=30, backup_dir=place / "backups", backup_keep_days=2, every=0.01)
    upkeep.start()
    await failed.wait()
    place.unlink()
    await made.wait()
    await upkeep.stop()
    logger.remove(sink)
    assert maintenance.backups(path, place / "backups")


async def test_another_ledger_s_backups_and_unfinished_ones_are_distinguished(
    store: Store, record: MakeRecord, path: Path, place: Path
) -> None:
    await fill(store, record, 2)
    place.mkdir()
    others = place / "pnl-demo-20200101T000000Z.db"
    killed = place / "pnl-20200101T000000Z.partial"
    under_way = place / "pnl-20260225T115900Z.partial"
    for file in (others, killed, under_way):
        file.touch()
    assert maintenance.backups(path, place) == []
    made = back_up(path, place, keep_days=1)
    assert maintenance.backups(path, place) == [made]
    assert set(place.iterdir()) == {made, others, under_way}
