"""A server that was restarted: what it had cached is there at once, and its log about it is correct."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.server import FAST, ServerProcess
from tests.waiting import until


async def test_the_last_hour_is_warm_after_a_restart(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, **FAST, DEMO="true")
    await server.start()
    try:
        await server.until("/api/pnl/current", lambda answer: answer["data"]["seq"] >= 5)
        before = (await server.get("/api/pnl/history?resolution=1m"))["data"]["data"]
        assert await server.stop() == 0
        assert "the last hour is loaded" in server.log
        server.log = ""
        await server.start()
        await until(lambda: "the last hour is loaded" in server.log)
        (minutes,) = re.findall(r"the last hour is loaded, (\d+) minutes", server.log)
        assert int(minutes) >= 1
        after = (await server.get("/api/pnl/history?resolution=1m"))["data"]["data"]
        assert [row["timestamp"] for row in after][: len(before)] == [row["timestamp"] for row in before]
        assert "current" in (await server.get("/api/cache/stats"))["data"]["keys"]
    finally:
        await server.close()
    files = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert any(re.fullmatch(r"pnl.*-cache\.db", name) for name in files), files
    for name in files:
        assert (tmp_path / "data" / name).stat().st_mode & 0o077 == 0, name
