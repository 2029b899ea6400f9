"""The server in a process of its own, its CPU time, memory and the lag of its loop measured from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

from bench.lagging import SAYS
from pnl_backend.simulator import Simulator

ROOT = Path(__file__).parent.parent
TICK = os.sysconf("SC_CLK_TCK")


class Server:
    """The server's process, measured from outside."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.log = b""
        self.url = ""

    async def read(self) -> None:
        """Pass on what the server prints, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if b"accesslog" not in line:
                self.log = (self.log + line)[-20_000:]
            if found := re.search(rb"P&L server ready: (\S+)", line):
                self.url = found[1].decode()
            if line.startswith(SAYS):
                self._lines.put_nowait(line.removeprefix(SAYS))

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICK

    def peak_mb(self) -> float:
        """The most resident memory so far."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    async def worst_lag(self) -> tuple[float, float]:
        """Milliseconds of lag and of being busy, since the last time."""
        self._process.send_signal(signal.SIGUSR1)
        lag, busy = (await asyncio.wait_for(self._lines.get(), 60)).split()
        return 1000 * float(lag), 1000 * float(busy)

    def stored_fills(self) -> int:
        """Rows in the ledger's file."""
        with contextlib.suppress(sqlite3.OperationalError):
            path = self._folder / "data" / "pnl.db"
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
                return int(ledger.execute("SELECT count(*) FROM fills").fetchone()[0])
        return 0


@contextlib.asynccontextmanager
async def served(env: dict[str, str]) -> AsyncIterator[Server]:
    """The server on core 0, in a directory of its own; it may not be ready yet."""
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            "taskset", "-c", "0", sys.executable, "-m", "bench.lagging",
            cwd=folder, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": "0", **env},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        server = Server(process, Path(folder))
        reader = asyncio.create_task(server.read())
        try:
            yield server
        finally:
            process.terminate()
            await process.wait()
            await reader


def environment(simulator: Simulator) -> dict[str, str]:
    return {
        **simulator.environment(),
        "UPDATE_INTERVAL_MS": "1000",
        "KALSHI_POLL_MS": "1000",
        "RATE_LIMIT_PER_MINUTE": "0",
    }
