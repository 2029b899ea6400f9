"""The import of settled and archived markets as a user of the server sees it: marked until it is done, never lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.simulator import Book, Fault, Simulator
from tests.support.server import FAST, ServerProcess, command, upstream_env

PAGES = 6


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """An account whose settled markets fill several pages, some of them archived."""
    book = Book.large(time.time(), settled=PAGES * 1000 - 10, still_open=5, fills=PAGES * 2000)
    async with Simulator(book, step_interval=None, kalshi_rate=None) as played:
        played.kalshi.set_live_days(60)
        yield played


@pytest.fixture
async def server(tmp_path: Path, simulator: Simulator) -> AsyncIterator[ServerProcess]:
    env = FAST | {"FETCH_TIMEOUT_MS": "5000", "KALSHI_POLL_MS": "1000"}
    process = ServerProcess(tmp_path, **env, **upstream_env(simulator, simulator.credentials()))
    yield process
    await process.close()


def kalshi(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["data"]["sources"]["kalshi"]
    return found


def is_exact(answer: dict[str, Any], simulator: Simulator) -> bool:
    truth, shown = simulator.truth().kalshi, answer["data"]["components"]["kalshi"]
    return (shown["realizedPnl"], shown["fees"]) == (
        pytest.approx(float(truth.realized_pnl), abs=0.006),
        pytest.approx(float(truth.fees), abs=0.006),
    )


async def test_until_the_import_is_done_the_figures_are_marked_and_a_kill_loses_nothing(server, simulator):
    simulator.set_fault("kalshi", Fault.status(503, path="/historical/positions", times=None))
    await server.start()
    during = await server.until(
        "/api/pnl/current", lambda a: kalshi(a).get("importing", {}).get("what") == "archived markets"
    )
    assert kalshi(during)["status"] == "live"
    assert kalshi(during)["marks"] == ["importing"]
    assert not is_exact(during, simulator)
    part = (await server.until("/health", lambda h: h["parts"]["import"]["state"] == "failing"))["parts"]["import"]
    assert part["ok"] is False
    live_pages = simulator.requests["kalshi"]["/portfolio/positions"]
    await server.kill()

    simulator.clear_faults()
    await server.start()
    whole = await server.until("/api/pnl/current", lambda a: "importing" not in kalshi(a))
    assert is_exact(whole, simulator)
    assert "the import is complete" in server.log
    assert (await server.get("/health"))["parts"]["import"]["state"] == "complete"
    assert live_pages > 0
    rows = server.rows("SELECT count(*), sum(settled) FROM positions")
    assert rows == [(PAGES * 1000 - 5, PAGES * 1000 - 10)]
    assert await server.stop() == 0


async def test_what_was_published_during_the_import_is_no_baseline_of_the_day(server, simulator):
    simulator.set_fault("kalshi", Fault.hang(path="/historical/positions"))
    await server.start()
    await server.until("/api/pnl/current", lambda a: "importing" in kalshi(a) and a["data"]["seq"] > 3)
    simulator.clear_faults()
    whole = await server.until("/api/pnl/current", lambda a: "importing" not in kalshi(a))
    assert is_exact(whole, simulator)
    later = await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > whole["data"]["seq"] + 2)
    assert later["data"]["dailyTrend"] == 0, "measured against the first complete snapshot, not against a part"
    assert await server.stop() == 0


async def test_the_check_counts_open_and_closed_markets(tmp_path, simulator):
    code, output = await command(tmp_path, "check", **upstream_env(simulator, simulator.credentials()))
    assert code == 0, output
    assert f"5 open and {PAGES * 1000 - 10:,} closed markets" in output
