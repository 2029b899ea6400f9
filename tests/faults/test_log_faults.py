"""Log files that cannot be written under a running server: health and console say it once, and nothing else is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.faults.disks import fill
from tests.support.server import ServerProcess
from tests.waiting import until

FAILED = "cannot be written ("
RECOVERED = "logs can be written again"
Until = Callable[[dict[str, Any]], bool]


@pytest.fixture
async def server(tmp_path: Path):
    server = ServerProcess(tmp_path, DEMO="true", RATE_LIMIT_PER_MINUTE="0", UPDATE_INTERVAL_MS="1000")
    yield server
    await server.close()


async def request(server: ServerProcess, identifier: str) -> None:
    """A request whose line in the access log can be found again."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(server.url + "/nothing", headers={"X-Request-ID": identifier}) as answer,
    ):
        assert answer.status == 404


async def requests(server: ServerProcess, name: str, condition: Until) -> list[str]:
    """Ask until the health report is as wanted; the requests' ids."""
    asked: list[str] = []
    async with aiohttp.ClientSession() as session:
        while True:
            asked.append(f"{name}-{len(asked)}-{'x' * 20}")
            await request(server, asked[-1])
            async with session.get(server.url + "/health") as answer:
                assert answer.status == 200, "the server does its job all the same"
                health = await answer.json()
            assert health["status"] == "healthy"
            if condition(health):
                return asked


def degraded(health: dict[str, Any]) -> bool:
    return "logs" in health["degraded"]


async def test_a_full_log_disk_is_reported_once_and_left_by_itself(server: ServerProcess, small_disk: Path) -> None:
    logs = small_disk / "logs"
    server.env["LOG_DIR"] = str(logs)
    await server.start()
    health = await server.get("/health")
    assert health["parts"]["logs"] | {"since": ""} == {"state": "written", "ok": True, "since": ""}
    assert not degraded(health)

    with pytest.raises(OSError, match="No space"):
        fill(small_disk / "ballast")
    asked = await requests(server, "full", degraded)
    health = await server.get("/health")
    assert health["parts"]["logs"]["state"] == "failing"
    assert health["parts"]["logs"]["detail"] == f"{logs}/combined.log cannot be written (No space left on device)"
    for number in range(50):
        asked.append(f"lost-{number}")
        await request(server, asked[-1])
    await until(lambda: all(identifier in server.log for identifier in asked))
    assert server.log.count(FAILED) == 1, server.log
    assert f"Log files in {logs} cannot be written (No space left on device)" in server.log
    assert "Logging error" not in server.log
    assert "Traceback" not in server.log

    (small_disk / "ballast").unlink()
    await server.until("/health", lambda h: not degraded(h))
    await until(lambda: server.log.count(RECOVERED) == 1)
    await request(server, "after")
    await until(lambda: "after" in (logs / "combined.log").read_text())
    assert await server.stop() == 0
    assert server.log.count(FAILED) == server.log.count(RECOVERED) == 1
    lines = (logs / "combined.log").read_text().splitlines()
    whole = re.compile(r"\d{4}-\d\d-\d\dT\S+ [A-Z]+ |    127\.0\.0\.1 GET /")  # requests are gathered in one record
    assert [line for line in lines if not whole.match(line)] == [], "only whole lines"
    assert "lost-" not in "".join(lines)


async def test_a_log_file_that_fails_from_the_start_is_taken_up_when_it_is_mended(
    server: ServerProcess, tmp_path: Path
) -> None:
    combined = tmp_path / "logs" / "combined.log"
    combined.parent.mkdir()
    combined.symlink_to("/dev/full")
    await server.start()
    asked = await requests(server, "full", degraded)
    assert all(identifier in server.log for identifier in asked)
    assert server.log.count(FAILED) == 1
    combined.unlink()
    await server.until("/health", lambda h: not degraded(h))
    await request(server, "after")
    await until(lambda: "after" in combined.read_text())
    assert server.log.count(RECOVERED) == 1


async def test_a_directory_is_created_once_the_file_of_its_name_is_removed(
    server: ServerProcess, tmp_path: Path
) -> None:
    (tmp_path / "logs").write_text("in the way")
    await server.start()
    assert server.log.count(FAILED) == 1, "one line for both files"
    health = await server.until("/health", degraded)
    assert health["parts"]["logs"]["detail"].count(FAILED) == 2
    (tmp_path / "logs").unlink()
    await server.until("/health", lambda h: not degraded(h))
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["combined.log", "error.log"]
    assert await server.stop() == 0
    assert "stopped" in (tmp_path / "logs" / "combined.log").read_text()
