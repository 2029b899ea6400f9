"""The ledger broken under a running server: the feed continues, the fault is reported, and it recovers."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from pnl_backend.simulator import Simulator
from tests.faults.disks import fill
from tests.support.clients import Listener, listening
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import until

Start = Callable[..., Any]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a server on the simulator; more settings and a prefix to its command line may be given."""
    async with Simulator(step_interval=0.2, kalshi_rate=None) as simulator:
        servers: list[ServerProcess] = []

        async def begin(*prefix: str, **env: str) -> ServerProcess:
            known = upstream_env(simulator, simulator.credentials())
            server = ServerProcess(tmp_path, *prefix, **FAST, **known, **env)
            servers.append(server)
            return await server.start()

        yield begin
        for server in servers:
            await server.close()


class Watched:
    """A server and a client that has listened from the beginning."""

    def __init__(self, server: ServerProcess, client: Listener, ledger: Path) -> None:
        self.server = server
        self.client = client
        self.ledger = ledger

    async def is_told(self, words: str, updates: int = 3) -> None:
        """Updates go on and say that they are not stored; log, health and metrics say what is wrong."""
        await self.client.until(lambda c: sum(not u["data"]["stored"] for u in c.of("pnl_update")) >= updates)
        health = await self.server.until("/health", lambda h: not h["parts"]["store"]["ok"])
        assert health["status"] == "unhealthy"
        assert health["parts"]["store"]["state"] == "down"
        assert re.search(words, health["parts"]["store"]["detail"]), health["parts"]["store"]["detail"]
        assert "snapshots are not stored" in health["parts"]["store"]["detail"]
        assert health["parts"]["aggregator"]["ok"] is True
        assert re.search(rf"The ledger cannot be written: .*({words})", self.server.log)
        assert await self.metric("pnl_unstored_snapshots") >= updates

    async def is_mended(self) -> None:
        """What waited is stored, everything that was ever sent is in the file, and all say so."""
        last = self.client.of("pnl_update")[-1]["data"]["seq"]
        await self.client.until(lambda c: any(fresh(u, last) for u in c.of("pnl_update")))
        health = await self.server.until("/health", lambda h: h["status"] == "healthy")
        assert health["parts"]["store"]["state"] == "connected"
        assert await self.metric("pnl_unstored_snapshots") == 0
        await self.holds_all()

    async def holds_all(self) -> None:
        seen = self.client.of("pnl_update")
        assert await self.server.stop() == 0, self.server.log[-9000:]
        with closing(sqlite3.connect(self.ledger)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            stored = {seq: orjson.loads(data) for seq, data in connection.execute("SELECT seq, data FROM payloads")}
        assert [stored[update["data"]["seq"]] for update in seen] == [update["data"] for update in seen]
        sequence = [update["data"]["seq"] for update in seen]
        assert sequence == list(range(sequence[0], sequence[0] + len(sequence))), "the feed had no gap"
        assert "Traceback" not in self.server.log

    async def metric(self, name: str) -> float:
        async with aiohttp.ClientSession() as session, session.get(self.server.url + "/metrics") as answer:
            found = re.search(rf"^{name} (\S+)$", await answer.text(), re.MULTILINE)
        assert found is not None
        return float(found[1])


def fresh(update: dict[str, Any], after: int) -> bool:
    return bool(update["data"]["stored"]) and update["data"]["seq"] > after


@asynccontextmanager
async def watched(server: ServerProcess, ledger: Path) -> AsyncIterator[Watched]:
    async with listening(server.url) as client:
        await client.io.emit("subscribe_pnl")
        await client.until(lambda c: len(c.of("pnl_update")) >= 3)
        yield Watched(server, client, ledger)


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow(15)
async def test_another_process_holds_the_write_lock_for_ten_seconds(start: Start, tmp_path: Path) -> None:
    ledger = tmp_path / "data" / "pnl.db"
    async with watched(await start(), ledger) as all_:
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLD, str(ledger), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        async with asyncio.timeout(30):
            await holder.stdout.readline()
        held_until = asyncio.get_running_loop().time() + 10
        await all_.is_told("another process holds the write lock")
        await asyncio.sleep(held_until - asyncio.get_running_loop().time())
        holder.stdin.write(b"\n")
        await holder.communicate()
        await all_.is_mended()


async def test_a_disk_that_fills_up(start: Start, small_disk: Path) -> None:
    ledger = small_disk / "pnl.db"
    async with watched(await start(DB_PATH=str(ledger)), ledger) as all_:
        ballast = small_disk / "ballast"
        with pytest.raises(OSError, match="No space"):
            fill(ballast)
        await all_.is_told("disk that holds .* is full")
        ballast.unlink()
        await all_.is_mended()


async def test_a_file_that_may_not_grow(start: Start, tmp_path: Path) -> None:
    ledger = tmp_path / "data" / "pnl.db"
    server = await start()
    async with watched(server, ledger) as all_:
        limits = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
        await all_.is_told("size limit|is full")
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)
        await all_.is_mended()


async def test_the_file_is_deleted_under_the_server(start: Start, tmp_path: Path) -> None:
    ledger = tmp_path / "data" / "pnl.db"
    server = await start()
    async with watched(server, ledger) as all_:
        for file in ledger.parent.glob("pnl.db*"):
            if not file.name.endswith(".lock"):
                file.unlink()
        await until(ledger.exists)
        assert "was deleted: writing it again from its open connection" in server.log
        await all_.is_mended()


async def test_an_empty_file_is_moved_over_the_ledger(start: Start, tmp_path: Path) -> None:
    ledger = tmp_path / "data" / "pnl.db"
    server = await start()
    async with watched(server, ledger) as all_:
        (tmp_path / "empty").touch()
        (tmp_path / "empty").rename(ledger)
        await until(lambda: "was replaced by an empty file: writing it again" in server.log)
        await all_.is_mended()


async def test_an_older_copy_is_moved_over_the_ledger(start: Start, tmp_path: Path) -> None:
    """The copy is taken up; what it lacks is declared lost everywhere, and kept beside it."""
    ledger = tmp_path / "data" / "pnl.db"
    server = await start()
    await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > 3)
    assert await server.stop() == 0, server.log[-9000:]
    shutil.copy(ledger, tmp_path / "older")
    await server.start()
    async with watched(server, ledger) as all_:
        (tmp_path / "older").rename(ledger)
        health = await server.until("/health", lambda h: "are lost" in h["parts"]["store"].get("detail", ""))
        assert health["status"] == "healthy", "it stores again"
        assert await all_.metric("pnl_lost_snapshots") > 0
        assert await server.stop() == 0, server.log[-9000:]
    ((first, last),) = server.rows("SELECT first_seq, last_seq FROM gaps")
    (aside,) = ledger.parent.glob("pnl.db.replaced-*")
    with closing(sqlite3.connect(aside)) as connection:
        kept = {seq for (seq,) in connection.execute("SELECT seq FROM snapshots")}
    assert set(range(first, last + 1)) <= kept


def powerless() -> list[str]:
    """Runs a command whose process obeys permissions, even if it is root's."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root obeys permissions only where setpriv takes its power away")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"]


async def test_the_file_is_deleted_and_its_directory_is_read_only(start: Start, tmp_path: Path) -> None:
    ledger = tmp_path / "data" / "pnl.db"
    server = await start(*powerless())
    async with watched(server, ledger) as all_:
        server.signal(signal.SIGSTOP)
        for file in ledger.parent.glob("pnl.db*"):
            if not file.name.endswith(".lock"):
                file.unlink()
        ledger.parent.chmod(0o500)
        server.signal(signal.SIGCONT)
        try:
            await all_.is_told("permission denied")
        finally:
            ledger.parent.chmod(0o700)
        await all_.is_mended()


async def test_a_directory_that_becomes_read_only_stops_neither_feed_nor_ledger(start: Start, tmp_path: Path) -> None:
    ledger = tmp_path / "data" / "pnl.db"
    server = await start(*powerless())
    async with watched(server, ledger) as all_:
        ledger.parent.chmod(0o500)
        try:
            last = all_.client.of("pnl_update")[-1]["data"]["seq"]
            await all_.client.until(lambda c: sum(fresh(u, last) for u in c.of("pnl_update")) >= 5)
            assert (await server.get("/health"))["status"] == "healthy"
            await server.kill()
            await server.start()
            await server.until("/api/pnl/current", lambda a: a["data"]["stored"] and a["data"]["seq"] > last + 5)
            assert await server.stop() == 0, server.log[-9000:]
        finally:
            ledger.parent.chmod(0o700)
        stored = {seq for (seq,) in server.rows("SELECT seq FROM snapshots")}
        assert {u["data"]["seq"] for u in all_.client.of("pnl_update")} <= stored


async def test_a_start_in_a_directory_that_is_read_only_serves_unstored_until_it_can_be_written(
    start: Start, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o500)
    async with watched(await start(*powerless()), data / "pnl.db") as all_:
        try:
            await all_.is_told("permission denied")
        finally:
            data.chmod(0o700)
        await all_.is_mended()


async def test_a_start_on_a_full_disk_serves_unstored_until_there_is_space(start: Start, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        fill(ballast)
    ledger = small_disk / "pnl.db"
    async with watched(await start(DB_PATH=str(ledger)), ledger) as all_:
        await all_.is_told("full|space|size limit")
        ballast.unlink()
        await all_.is_mended()


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


async def test_a_ledger_on_a_read_only_disk_is_still_read(start: Start, small_disk: Path) -> None:
    ledger = small_disk / "pnl.db"
    server = await start(DB_PATH=str(ledger))
    last = (await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > 10))["data"]
    assert await server.stop() == 0, server.log[-9000:]
    with closing(sqlite3.connect(ledger)) as connection:
        ((stored,),) = connection.execute("SELECT max(seq) FROM snapshots")
    remount(small_disk, "ro")
    await server.start()
    await server.until("/api/pnl/current", lambda a: a["data"]["epoch"] != last["epoch"])
    try:
        async with watched(server, ledger) as all_:
            await all_.is_told("read-only")
            held = (await server.get("/api/pnl/history?limit=1000"))["data"]["data"]
            assert {row["seq"] for row in held} >= set(range(1, stored + 1))
            remount(small_disk, "rw")
            await all_.is_mended()
    finally:
        remount(small_disk, "rw")
    with closing(sqlite3.connect(ledger)) as connection:
        assert len(connection.execute("SELECT epoch FROM epochs").fetchall()) == 2
        assert connection.execute("SELECT count(*) FROM snapshots WHERE seq <= ?", (stored,)).fetchone() == (stored,)
