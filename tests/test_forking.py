"""A forked server is what `python server.py` would be: its output, exit code, signals, folder and environment."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pnl_backend import __version__
from tests.support.forking import Forked, can_fork
from tests.support.server import FAST, PROGRAM, ServerProcess, command, no_server_left

WAYS = ("forked", "started")


@pytest.fixture(params=WAYS, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TESTS_FORK", "1" if request.param == "forked" else "0")
    return str(request.param)


async def test_output_and_exit_code_are_those_of_the_program(tmp_path: Path) -> None:
    assert await command(tmp_path, "--version") == (0, f"pnl-backend {__version__}\n")
    code, output = await command(tmp_path, "serve", PORT="many")
    assert code == 2
    assert output == "These settings must be corrected first:\n  PORT: given 'many', allowed: 0 to 65535\n"
    code, output = await command(tmp_path, "nonsense")
    assert code == 2
    assert "invalid choice: 'nonsense'" in output


async def test_a_server_has_its_own_folder_and_environment_and_ends_by_signals(tmp_path: Path, way: str) -> None:
    one, other = ServerProcess(tmp_path / "one", **FAST), ServerProcess(tmp_path / "other", **FAST, LOG_DIR="elsewhere")
    for server in (one, other):
        server.directory.mkdir()
        await server.start()
        assert isinstance(server._process, Forked) is (way == "forked")
    try:
        assert one.port != other.port
        assert [one.rows("SELECT count(*) FROM epochs"), other.rows("SELECT count(*) FROM epochs")] == [[(1,)]] * 2
        assert not (one.directory / "elsewhere").exists()
        assert (other.directory / "elsewhere" / "combined.log").exists()
        other.signal(signal.SIGKILL)
        assert await other.wait() == -signal.SIGKILL
        assert await one.stop() == 0
        assert one.log.endswith("stopped\n")
        with pytest.raises(ProcessLookupError):
            one.signal(signal.SIGTERM)
    finally:
        await one.close()
        await other.close()


async def test_a_server_that_a_test_leaves_running_is_killed(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, **FAST)
    with no_server_left():
        await server.start()
    assert await server.wait() == -signal.SIGKILL


def test_what_is_not_this_server_in_a_plain_environment_is_never_forked(way: str) -> None:
    assert can_fork(PROGRAM, {"PYTHONUNBUFFERED": "1", "PORT": "0"}) is (way == "forked")
    assert not can_fork(PROGRAM, {"PYTHONPATH": "/somewhere"})
    assert not can_fork(PROGRAM, {"TZ": "Asia/Tokyo"})
    assert not can_fork(("nice", *PROGRAM), {})
