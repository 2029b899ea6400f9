"""The first import of a long history by the real server, through kill -9."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from pnl_backend.simulator import Book, Fault, Simulator
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import until


def stored(path: Path) -> int:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM fills").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


async def test_a_first_import_that_is_killed_again_and_again_ends_whole(tmp_path: Path) -> None:
    book = Book.large(time.time(), settled=40, still_open=10, fills=8000)
    async with Simulator(book, step_interval=None, kalshi_rate=None) as simulator:
        env = FAST | {"FETCH_TIMEOUT_MS": "5000"} | upstream_env(simulator, simulator.credentials())
        server = ServerProcess(tmp_path, **env)
        ledger = tmp_path / "data" / "pnl.db"
        for path in ("/portfolio/fills", "/historical/fills"):
            simulator.set_fault("kalshi", Fault.slow(0.3, path=path))
        for pages in (1, 3, 5):
            await server.start()
            await until(lambda goal=pages: ledger.exists() and stored(ledger) >= goal * 1000)
            await server.kill()
            assert stored(ledger) < 8000
        simulator.clear_faults()
        try:
            await server.start()
            health = await server.until("/health", lambda body: body["parts"]["history"]["state"] == "complete")
            assert health["parts"]["history"]["ok"] is True
            assert stored(ledger) == 8000
        finally:
            await server.close()
