"""What a day is compared with after a bad end of the day before: real processes over one ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from pnl_backend.simulator import Simulator
from tests.support.server import FAST, ServerProcess, upstream_env

DAY_MS = 86_400_000


def move_a_day_back(ledger: Path) -> None:
    """As if the server had stopped yesterday."""
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE snapshots SET at = at - ?", (DAY_MS,))


def stored(ledger: Path) -> Iterator[dict[str, Any]]:
    with closing(sqlite3.connect(ledger)) as connection:
        for (data,) in connection.execute("SELECT data FROM payloads ORDER BY seq"):
            yield orjson.loads(data)


async def dashboard(server: ServerProcess) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.ws_connect(server.url + "/pnl-stream") as socket:
        return dict(orjson.loads(await socket.receive_str(timeout=20)))


async def test_a_day_whose_last_snapshots_lack_a_source_is_compared_by_those_before(tmp_path: Path) -> None:
    """Yesterday the server restarted without its cache while Kalshi was out of reach, and then stopped."""
    ledger = tmp_path / "data" / "pnl.db"
    async with Simulator(step_interval=0.2, kalshi_rate=None) as simulator:
        known = upstream_env(simulator, simulator.credentials())
        server = ServerProcess(tmp_path, **FAST, **known)
        try:
            await server.start()
            await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > 3 and not a["data"]["degraded"])
            assert await server.stop() == 0
            (tmp_path / "data" / "pnl-cache.db").unlink()
            server.env["KALSHI_API_URL"] = "http://127.0.0.1:9"
            await server.start()
            await server.until("/api/pnl/current", lambda a: a["data"]["degraded"] == ["kalshi"])
            assert await server.stop() == 0
            move_a_day_back(ledger)
            rows = list(stored(ledger))
            assert rows[-1]["degraded"] == ["kalshi"]
            last = [row for row in rows if not row["degraded"]][-1]
            server.env.update(known)
            await server.start()
            message = await dashboard(server)
            assert message["previousNetPnL"] == last["netPnL"] != rows[-1]["netPnL"]
            today = await server.until(
                "/api/pnl/current?period=today",
                lambda a: a["data"]["seq"] > rows[-1]["seq"] and not a["data"]["degraded"],
            )
            whole = next(row for row in stored(ledger) if row["seq"] == today["data"]["seq"])
            difference = whole["components"]["kalshi"]["pnl"] - last["components"]["kalshi"]["pnl"]
            assert round(today["data"]["components"]["kalshi"]["pnl"] - difference, 2) == 0
        finally:
            await server.close()


async def test_an_unconfigured_source_does_not_exclude_a_day_from_comparison(tmp_path: Path) -> None:
    async with Simulator(step_interval=0.2, kalshi_rate=None) as simulator:
        known = upstream_env(simulator, simulator.credentials())
        server = ServerProcess(
            tmp_path, **FAST, **{name: value for name, value in known.items() if not name.startswith("KALSHI")}
        )
        try:
            await server.start()
            await server.until("/api/pnl/current", lambda a: a["data"]["degraded"] == ["kalshi"])
            assert await server.stop() == 0
            move_a_day_back(tmp_path / "data" / "pnl.db")
            last = list(stored(tmp_path / "data" / "pnl.db"))[-1]
            await server.start()
            assert (await dashboard(server))["previousNetPnL"] == last["netPnL"]
        finally:
            await server.close()
