"""What breaks under a running ledger: it says so in plain words, loses nothing that it promised, and mends itself."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pnl_backend.domain.record import Record
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store
from tests.ledger.sqlite.ledger import MakeRecord, OpenStore


async def fails(store: Store, record: MakeRecord, words: str) -> None:
    """The next append fails with these words and health says the same."""
    with pytest.raises(StoreError, match=words):
        await store.append(record(store, data=b"x" * 200_000))
    health = store.health()
    assert health["state"] == "down"
    assert health["error"] is not None
    assert health["unstored"] == 1


async def works(store: Store, record: MakeRecord) -> None:
    """The snapshot that failed can be stored after all, and nothing is missing."""
    await store.append(record(store))
    health = store.health()
    assert (health["state"], health["error"], health["unstored"]) == ("connected", None, 0)
    assert [one.seq for one in await store.newest(1000)] == list(range(1, store.last_seq + 1))


async def is_whole(store: Store, path: Path) -> None:
    last = store.last_seq
    await store.close()
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert reader.execute("SELECT count(*), max(seq) FROM snapshots").fetchone() == (last, last)


@pytest.fixture
async def filled(store: Store, record: MakeRecord) -> Store:
    for _ in range(3):
        await store.append(record(store))
    await store.newest(1)  # a reader is open when things break
    return store


HOLD = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


async def test_another_process_holds_the_write_lock(filled: Store, record: MakeRecord, path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    await fails(filled, record, "another process holds the write lock")
    assert len(await filled.newest(10)) == 3
    await holder.communicate(b"")
    await works(filled, record)
    await is_whole(filled, path)


async def test_the_time_of_the_failure_stays_until_it_is_mended(
    open_store: OpenStore, record: MakeRecord, path: Path
) -> None:
    times = [1000.0]
    store = await open_store(clock=lambda: times[-1])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for now in (2000.0, 3000.0):
            times.append(now)
            await fails(store, record, "lock")
            assert store.health()["since"] == 2_000_000
        other.execute("ROLLBACK")
    times.append(4000.0)
    await store.probe()
    assert store.health()["state"] == "connected"
    assert store.health()["since"] == 4_000_000


async def test_what_could_not_be_stored_is_a_reported_gap(filled: Store, record: MakeRecord, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for seq in (4, 5, 6):
            with pytest.raises(StoreError):
                await filled.append(record(filled, seq))
        other.execute("ROLLBACK")
    with pytest.raises(StoreError, match="does not follow"):
        await filled.append(record(filled, 8))
    assert filled.health()["unstored"] == 3
    await filled.append(record(filled, 7))
    assert filled.last_seq == 7
    assert filled.health()["unstored"] == 3
    assert await filled.since(filled.epoch, 3) is None
    assert await filled.since(filled.epoch, 2) is None
    assert not await filled.holds(filled.epoch, 2, filled.last_seq)
    assert await filled.since(filled.epoch, 7) == []
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT first_seq, last_seq FROM gaps").fetchall() == [(4, 6)]


async def test_a_disk_that_fills_up(filled: Store, record: MakeRecord, path: Path) -> None:
    with file_size_limit(50_000):
        await fails(filled, record, "size limit|is full")
        assert len(await filled.newest(10)) == 3
    await works(filled, record)
    await is_whole(filled, path)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An 8 MB file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root; the size limit above stands for it")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


async def test_a_small_disk_fills_and_is_cleared(open_store: OpenStore, record: MakeRecord, small_disk: Path) -> None:
    path = small_disk / "pnl.db"
    store = await open_store(path)
    ballast = small_disk / "ballast"
    await store.append(record(store))
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(9 << 20))
    await fails(store, record, r"disk that holds .* is full")
    ballast.unlink()
    await works(store, record)
    await is_whole(store, path)


async def test_a_small_disk_filled_by_the_ledger_itself(
    open_store: OpenStore, record: MakeRecord, small_disk: Path
) -> None:
    store = await open_store(small_disk / "pnl.db")
    records = (record(store, data=b"x" * 100_000) for _ in range(1000))
    with pytest.raises(StoreError, match=r"disk that holds .* is full"):
        await append_all(store, records)
    held = await store.newest(1000)
    assert [one.seq for one in held] == list(range(1, store.last_seq + 1))


def test_a_disk_that_is_read_only(small_disk: Path) -> None:
    path = small_disk / "pnl.db"
    asyncio.run(open_and_close(path))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreError, match="read-only"):
        asyncio.run(open_and_close(path))
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    asyncio.run(open_and_close(path))


async def open_and_close(path: Path) -> None:
    store = await Store.open(path, origin="live")
    await store.close()


async def append_all(store: Store, records: Iterable[Record]) -> None:
    for record in records:
        await store.append(record)


@pytest.mark.parametrize(
    "gone", [("",), ("-wal",), ("-shm",), ("", "-wal", "-shm")], ids=["database", "log", "index", "all three"]
)
async def test_a_deleted_file_is_put_back_with_all_that_it_held(
    filled: Store, record: MakeRecord, path: Path, open_store: OpenStore, gone: tuple[str, ...]
) -> None:
    for suffix in gone:
        Path(f"{path}{suffix}").unlink()
    await works(filled, record)
    await works(filled, record)
    assert filled.last_seq == 5
    epoch = filled.epoch
    await is_whole(filled, path)
    again = await open_store()
    assert (again.epoch, again.last_seq) == (epoch, 5)


async def test_the_directory_is_deleted(filled: Store, record: MakeRecord, path: Path) -> None:
    shutil.rmtree(path.parent)
    await works(filled, record)
    await is_whole(filled, path)


async def test_a_deleted_file_without_space_to_restore_it(filled: Store, record: MakeRecord, path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")
    await fails(filled, record, "file exists|not a directory")
    path.parent.unlink()
    await works(filled, record)
    await is_whole(filled, path)


async def test_a_deleted_file_and_a_disk_that_is_full(filled: Store, record: MakeRecord, path: Path) -> None:
    path.unlink()
    with file_size_limit(4096):
        await fails(filled, record, "size limit|is full")
        await fails(filled, record, "size limit|is full")
        assert not path.exists()
    await works(filled, record)
    await is_whole(filled, path)


async def test_an_older_copy_put_in_place_is_taken_up_after_a_gap(
    open_store: OpenStore, record: MakeRecord, path: Path, tmp_path: Path
) -> None:
    store = await open_store()
    await store.append(record(store))
    await store.close()
    shutil.copy(path, tmp_path / "older")
    store = await open_store()
    for _ in range(3):
        await store.append(record(store))
    (tmp_path / "older").rename(path)
    await store.append(record(store))
    assert store.last_seq == 5
    assert [one.seq for one in await store.newest(10)] == [1, 5]
    assert await store.since(store.epoch, 1) is None
    await store.close()
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert reader.execute("SELECT first_seq, last_seq FROM gaps").fetchall() == [(2, 4)]


@pytest.mark.parametrize("moved", [True, False], ids=["moved over it", "emptied in place"])
async def test_an_empty_file_in_the_ledger_s_place(
    filled: Store, record: MakeRecord, path: Path, tmp_path: Path, moved: bool
) -> None:
    if moved:
        (tmp_path / "empty").touch()
        (tmp_path / "empty").rename(path)
    else:
        os.truncate(path, 0)
    await filled.append(record(filled))
    held = [one.seq for one in await filled.newest(10)]
    health = filled.health()
    await filled.close()
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        gaps = reader.execute("SELECT first_seq, last_seq FROM gaps").fetchall()
    declared = {seq for first, last in gaps for seq in range(first, last + 1)}
    assert set(held) | declared == {1, 2, 3, 4}
    assert health["lost"] == len(declared)
    assert not (moved and declared), "a file that was moved over it takes nothing away"


async def test_another_ledger_moved_over_it_leaves_what_it_held_beside(
    filled: Store, record: MakeRecord, path: Path, open_store: OpenStore, tmp_path: Path
) -> None:
    other = await open_store(tmp_path / "other.db")
    for _ in range(9):
        await other.append(record(other))
    await other.close()
    (tmp_path / "other.db").rename(path)
    await fails(filled, record, "replaced by another ledger")
    (aside,) = path.parent.glob("pnl.db.replaced-*")
    with closing(sqlite3.connect(aside)) as reader:
        assert reader.execute("SELECT count(*) FROM snapshots").fetchone() == (3,)


async def test_another_ledger_put_in_place_is_refused_until_it_goes(
    filled: Store, record: MakeRecord, path: Path, open_store: OpenStore, tmp_path: Path
) -> None:
    other = await open_store(tmp_path / "other.db")
    for _ in range(9):
        await other.append(record(other))
    await other.close()
    path.rename(tmp_path / "aside")
    (tmp_path / "other.db").rename(path)
    await fails(filled, record, "replaced by another ledger")
    (tmp_path / "aside").rename(path)
    await works(filled, record)


async def test_writes_that_meet_while_mending_are_all_stored(filled: Store, record: MakeRecord, path: Path) -> None:
    path.unlink()
    reads = [filled.newest(10) for _ in range(8)]
    await asyncio.gather(filled.append(record(filled)), *(filled.probe() for _ in range(5)), *reads)
    await works(filled, record)
    await is_whole(filled, path)
