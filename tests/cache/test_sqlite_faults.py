"""The cache file deleted, broken, locked, foreign, and read under clocks that jump."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from loguru import logger

from pnl_backend.cache.base import Entry, TierDown, TierError
from pnl_backend.cache.memory import MemoryTier
from pnl_backend.cache.sqlite import SQLiteTier
from tests.waiting import PATIENCE


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


@pytest.fixture
async def tier(path: Path) -> AsyncIterator[SQLiteTier]:
    built = SQLiteTier(path)
    await built.open()
    yield built
    await built.close()


async def test_the_file_is_for_its_owner_alone(tier: SQLiteTier, path: Path) -> None:
    await tier.set("kalshi:a", b"1", 60)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


@pytest.mark.parametrize("journals_too", [False, True])
async def test_a_deleted_file_is_counted_and_made_anew(tier: SQLiteTier, path: Path, journals_too: bool) -> None:
    await tier.set("kalshi:a", b"1", 60)
    for file in path.parent.iterdir():
        if journals_too or file == path:
            file.unlink()
    assert await tier.get("kalshi:a") is None
    await tier.set("kalshi:a", b"2", 60)
    assert path.exists()
    held = await tier.get("kalshi:a")
    assert held is not None
    assert held.value == b"2"
    await tier.close()
    assert _integrity(path) == "ok"


async def test_a_file_broken_while_it_is_open_is_set_aside(tier: SQLiteTier, path: Path) -> None:
    for number in range(200):
        await tier.set(f"kalshi:{number}", b"x" * 3000, 60)
    with sqlite3.connect(path) as checkpointer:
        checkpointer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    checkpointer.close()
    with path.open("r+b") as file:
        file.seek(0)
        file.write(b"\xff" * path.stat().st_size)
    outcomes = await asyncio.gather(*(tier.get(f"kalshi:{number}") for number in range(200)), return_exceptions=True)
    assert any(isinstance(outcome, TierError) for outcome in outcomes)
    await _usable_again(tier)
    assert path.with_name("cache.db.broken").exists()
    assert tier.status == "connected"


@pytest.mark.parametrize("rubbish", [b"rubbish " * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_broken_file_found_at_the_start_is_set_aside(path: Path, rubbish: bytes) -> None:
    path.write_bytes(rubbish)
    tier = SQLiteTier(path)
    await tier.open()
    await tier.set("kalshi:a", b"1", 60)
    assert await tier.get("kalshi:a") is not None
    await tier.close()
    assert path.with_name("cache.db.broken").read_bytes() == rubbish


async def test_another_programs_database_is_left_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE snapshots (netPnL TEXT)")
    theirs.close()
    path.chmod(0o644)
    before = path.read_bytes()
    tier = SQLiteTier(path)
    await tier.open()
    assert tier.status == "down"
    with pytest.raises(TierError):
        await tier.set("kalshi:a", b"1", 60)
    assert await tier.last_known() == []
    await tier.close()
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


async def test_a_locked_file_costs_an_error_and_mends_itself(tier: SQLiteTier, path: Path) -> None:
    await tier.set("kalshi:a", b"1", 60)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TierError):
        await tier.set("kalshi:a", b"2", 60)
    assert tier.status == "down"
    holder.execute("ROLLBACK")
    holder.close()
    await _usable_again(tier)


async def test_a_full_disk_is_one_outage_however_often_it_is_tried(tier: SQLiteTier) -> None:
    await tier.set("kalshi:a", b"1", 60)
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="INFO")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        failures = 0
        async with asyncio.timeout(PATIENCE):
            while failures < 3:
                try:
                    await tier.set("kalshi:b", b"x" * 200_000, 60)
                except TierDown:
                    await asyncio.sleep(0.05)
                except TierError:
                    failures += 1
                assert tier.status == "down"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await _usable_again(tier)
    logger.remove(sink)
    held = await tier.get("kalshi:a")
    assert held is not None
    assert [line.split(",")[0] for line in said] == [
        "The cache file cannot be used",
        "The cache file can be used again",
    ]


async def test_a_directory_that_comes_later_is_used_when_it_comes(tmp_path: Path) -> None:
    blocker = tmp_path / "data"
    blocker.write_text("in the way")
    tier = SQLiteTier(blocker / "cache.db")
    await tier.open()
    assert tier.status == "down"
    blocker.unlink()
    await _usable_again(tier)
    await tier.close()


async def test_killed_at_any_moment_the_file_holds(path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pnl_backend.cache.sqlite import SQLiteTier\n"
        "async def main():\n"
        "    tier = SQLiteTier(sys.argv[1])\n"
        "    await tier.open()\n"
        "    number = 0\n"
        "    while True:\n"
        "        await tier.set('kalshi:a', str(number).encode() * 500, 60)\n"
        "        print(number, flush=True)\n"
        "        number += 1\n"
        "asyncio.run(main())\n"
    )
    for kill_after in (1, 37, 150):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(path), stdout=subprocess.PIPE)
        assert process.stdout is not None
        said = 0
        while said < kill_after:
            said = int(await process.stdout.readline())
        process.kill()
        rest = (await process.stdout.read()).split()
        await process.wait()
        last = int(rest[-1]) if rest else said
        tier = SQLiteTier(path)
        await tier.open()
        held = await tier.get("kalshi:a")
        assert held is not None
        # What was set is there; the one under way at the kill may be there too.
        assert held.value in (str(last).encode() * 500, str(last + 1).encode() * 500)
        await tier.close()
        assert _integrity(path) == "ok"


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 1e9, -1e9])
async def test_a_jump_of_the_wall_clock_expires_nothing_and_prolongs_nothing(path: Path, jump: float) -> None:
    monotonic, wall = Clock(500.0), Clock(1.7e9)

    def opened(boot: str) -> SQLiteTier:
        return SQLiteTier(path, clock=monotonic, wall_clock=wall, boot=boot)

    tier = opened("first")
    await tier.set("kalshi:a", b"1", 60)
    wall.now += jump
    assert await tier.get("kalshi:a") == Entry(b"1", 60)
    monotonic.now += 59
    await tier.close()
    # A new process in the same boot goes by the same clock.
    tier = opened("first")
    held = await tier.get("kalshi:a")
    assert held is not None
    assert held.ttl == pytest.approx(1)
    monotonic.now += 1
    assert await tier.get("kalshi:a") is None
    await tier.close()


@pytest.mark.parametrize(("passed", "left"), [(10.0, 50.0), (60.0, None), (-86400.0, 60.0)])
async def test_after_a_reboot_the_wall_clock_decides_within_the_time_to_live(
    path: Path, passed: float, left: float | None
) -> None:
    monotonic, wall = Clock(1e6), Clock(1.7e9)
    tier = SQLiteTier(path, clock=monotonic, wall_clock=wall, boot="first")
    await tier.set("kalshi:a", b"1", 60)
    await tier.close()
    monotonic.now, wall.now = 3.0, wall.now + passed
    tier = SQLiteTier(path, clock=monotonic, wall_clock=wall, boot="second")
    assert await tier.get("kalshi:a") == (None if left is None else Entry(b"1", left))
    assert await tier.last_known() == [("kalshi:a", b"1")]
    await tier.close()


async def test_memory_evicts_the_least_recently_used() -> None:
    clock = Clock(0.0)
    tier = MemoryTier(max_entries=3, clock=clock)
    for key in "abc":
        await tier.set(key, b"1", 60)
    await tier.get("a")
    await tier.set("d", b"1", 60)
    assert [key for key in "abcd" if await tier.get(key)] == ["a", "c", "d"]
    clock.now = 60.0
    assert tier.size() == 0


async def _usable_again(tier: SQLiteTier) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await tier.set("kalshi:again", b"1", 60)
                assert await tier.get("kalshi:again") is not None
                assert tier.status == "connected"
            except TierError:
                await asyncio.sleep(0.05)
            else:
                return


def _integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()
