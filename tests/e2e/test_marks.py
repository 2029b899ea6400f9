"""What is marked everywhere: a slow source on the first day, and a history that was published wrong."""

from __future__ import annotations

import csv
import io
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pnl_backend.simulator import Simulator
from pnl_backend.simulator.faults import Fault
from tests.support.feeds import plain_socket
from tests.support.server import FAST, ROOT, ServerProcess, command, upstream_env

MARKS = ("degraded", "estimated", "complete")
EVER = "from=0&resolution="
RESOLUTIONS = ("1m", "5m", "15m", "1h", "4h", "1d", "1w")


def marks(message: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(message[name] for name in MARKS)


async def exported(server: ServerProcess, resolution: str) -> list[dict[str, str]]:
    address = f"{server.url}/api/pnl/export?{EVER}{resolution}"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        return list(csv.DictReader(io.StringIO(await answer.text())))


async def test_a_source_that_answers_after_three_seconds_gives_no_zero_to_anything(tmp_path: Path) -> None:
    """With the settings that a server has by itself: its first tick does not wait that long."""
    async with Simulator(step_interval=None, kalshi_rate=None) as simulator:
        simulator.faults.set("kalshi", Fault.slow(3.0, path="/portfolio/balance", times=1))
        server = ServerProcess(tmp_path, **upstream_env(simulator, simulator.credentials()))
        try:
            await server.start()
            missing = (["kalshi"], False, False)
            first = await server.get("/api/pnl/current?period=today")
            assert marks(first["data"]) == marks(first) == missing
            assert first["data"]["partial"] is True
            assert first["data"]["dailyTrend"] == first["data"]["netPnL"] == first["netPnL"] == 0
            assert marks((await server.get("/api/pnl/breakdown"))["data"]) == missing
            async with plain_socket(server.url) as ledger, plain_socket(server.url, "/pnl-stream") as dashboard:
                assert marks((await ledger.read())["data"]) == missing
                shown = await dashboard.read()
                assert marks(shown) == missing
                assert shown["trendsData"][-1]["complete"] is False
                assert marks((await ledger.until(lambda m: m["data"]["complete"]))["data"]) == ([], False, True)
                shown = await dashboard.until(lambda m: m["complete"])
                assert "complete" not in shown["trendsData"][-1]
                assert shown["netPnL"] == shown["previousNetPnL"]
            raw = (await server.get(f"/api/pnl/history?{EVER}raw"))["data"]["data"]
            whole = [row for row in raw if row["complete"]]
            assert marks(raw[0]) == missing
            assert whole
            assert all(marks(row) == ([], False, True) for row in whole)
            for resolution in RESOLUTIONS:
                rows = (await server.get(f"/api/pnl/history?{EVER}{resolution}"))["data"]["data"]
                assert rows[-1]["open"] == rows[-1]["low"] == whole[0]["netPnL"] != raw[0]["netPnL"], resolution
            day = (await server.get(f"/api/pnl/history?{EVER}1d"))["data"]["data"][-1]
            assert marks(day) == (["kalshi"], False, True)
            assert (await exported(server, "1d"))[-1]["degraded"] == "kalshi"
            for period in ("today", "mtd"):
                answer = (await server.get(f"/api/pnl/current?period={period}"))["data"]
                assert (answer["netPnL"], answer["dailyTrend"]) == (0, 0), "nothing moved since it is complete"
                assert answer["partial"] is True
                begun = whole[0]["timestamp"]
                snapshots = (await server.get("/api/pnl/history?limit=100"))["data"]["data"]
                assert answer["since"] == next(s["timestamp"] for s in snapshots if s["calculatedAt"] == begun)
            assert "partial" not in (await server.get("/api/pnl/current"))["data"]
        finally:
            await server.close()


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The ledger of 0.1.0 where a server looks for its own."""
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "tests" / "data" / "ledgers" / "0.1.0" / "pnl.db", tmp_path / "data" / "pnl.db")
    return tmp_path


async def test_what_was_published_without_the_whole_history_stays_and_is_marked(older: Path) -> None:
    async with Simulator(step_interval=None, kalshi_rate=None) as simulator:
        env = upstream_env(simulator, simulator.credentials())
        for source in ("kalshi", "anthropic", "johns"):  # the account that is played is not the one that was recorded
            code, output = await command(older, "ledger", "adopt", source, "--force", **env)
            assert code == 0, output
        server = ServerProcess(older, **FAST, **env)
        try:
            await server.start()
            answer = await server.until(
                "/api/pnl/current", lambda a: a["data"]["complete"] and a["data"]["seq"] > 190, timeout=40
            )
            history = (await server.get("/api/pnl/history?limit=1000"))["data"]
            assert [each["source"] for each in history["restatements"]] == ["kalshi", "anthropic", "johns"]
            why = history["restatements"][0]
            assert why["toSeq"] == 184
            assert "another account" in why["reason"]
            for row in history["data"]:
                assert row.get("restated", False) == (row["seq"] <= why["toSeq"])
                assert marks(row) is not None
            assert [row["seq"] for row in history["data"]][:1] == [1], "every row stays"
            first = next(row for row in history["data"] if row["seq"] > why["toSeq"] and row["complete"])
            assert first["dailyTrend"] == 0
            assert answer["data"]["dailyTrend"] == 0, "nothing has moved since, and nothing before is compared with"
            today = (await server.get("/api/pnl/current?period=mtd"))["data"]
            assert (today["partial"], today["since"], today["netPnL"]) == (True, first["timestamp"], 0)
            days = (await server.get(f"/api/pnl/history?{EVER}1d"))["data"]
            assert days["restatements"] == history["restatements"]
            assert [row.get("restated", False) for row in days["data"]] == [True] * (len(days["data"]) - 1) + [False]
            assert (await exported(server, "1d"))[0]["restated"] == "true"
        finally:
            await server.close()


async def test_the_first_import_of_the_whole_history_restates_what_lacked_it(tmp_path: Path) -> None:
    """A ledger as a version left it that knew no archived markets: its figures were less by what these had brought."""
    async with Simulator(step_interval=None, kalshi_rate=None) as simulator:
        server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()))
        try:
            await server.start()
            await server.until("/api/pnl/current", lambda a: a["data"]["complete"] and a["data"]["seq"] > 3)
            assert (await server.get("/api/pnl/history?limit=1000"))["data"]["restatements"] == []
            assert await server.stop() == 0
            with closing(sqlite3.connect(tmp_path / "data" / "pnl.db")) as ledger, ledger:
                (last,) = ledger.execute("SELECT max(seq) FROM snapshots").fetchone()
                ledger.execute("DELETE FROM meta WHERE key = 'whole'")
                ledger.execute("DELETE FROM imports")
                wrong = "json_set(CAST(data AS TEXT), '$.components.kalshi.realizedPnl', 7.0)"
                ledger.execute(f"UPDATE payloads SET data = CAST({wrong} AS BLOB)")
            for _ in range(2):
                await server.start()
                await server.until("/api/pnl/current", lambda a: a["data"]["complete"] and a["data"]["seq"] > last + 3)
                history = (await server.get("/api/pnl/history?limit=1000"))["data"]
                (why,) = history["restatements"]
                assert (why["source"], why["toSeq"] >= last) == ("kalshi", True)
                assert "no longer lists" in why["reason"]
                for row in history["data"]:
                    assert row.get("restated", False) == (row["seq"] <= why["toSeq"])
                begun = next(row for row in history["data"] if row["seq"] > why["toSeq"] and row["complete"])
                assert begun["dailyTrend"] == 0
                today = (await server.get("/api/pnl/current?period=today"))["data"]
                assert (today["partial"], today["since"], today["netPnL"]) == (True, begun["timestamp"], 0)
                assert await server.stop() == 0
            assert server.log.count("marked as restated") == 1
        finally:
            await server.close()
