"""The command line: bad settings, check, stop."""

import asyncio
import signal
import stat

import pytest

from pnl_backend.config_text import example
from pnl_backend.simulator import Fault, Simulator
from tests.support.clients import listening
from tests.support.server import FAST, ServerProcess, command, upstream_env


async def test_bad_settings_stop_the_start_with_a_line_each(tmp_path):
    code, output = await command(tmp_path, PORT="abc", BUSINESS_TIMEZONE="Mars/X")
    assert code == 2
    assert "PORT: given 'abc', allowed: 0 to 65535" in output
    assert "BUSINESS_TIMEZONE: given 'Mars/X'" in output
    assert "Traceback" not in output


async def test_directories_are_made_at_start_and_the_ledger_is_private(tmp_path):
    server = await ServerProcess(tmp_path, **FAST).start()
    try:
        assert (tmp_path / "logs").is_dir()
        (ledger,) = tmp_path.glob("data/pnl-demo.db")
        assert stat.S_IMODE(ledger.stat().st_mode) == 0o600
        assert "DEMO" in server.log
        assert (await server.get("/api/pnl/current"))["data"]["simulated"] is True
        assert "demo" in str(await server.get("/health")).lower()
    finally:
        await server.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_exits_0(tmp_path, simulator, number):
    server = await ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials())).start()
    try:
        async with listening(server.url) as client, listening(server.url, transports=["polling"]) as other:
            await client.io.call("subscribe_pnl")
            await other.io.call("subscribe_pnl")
            last = await client.next("pnl_update")
            server.signal(number)
            async with asyncio.timeout(10):
                await client.io.wait()
                await other.io.wait()
            assert await server.wait() == 0
        ((stored,),) = server.rows("SELECT max(seq) FROM snapshots")
        assert stored >= last["data"]["seq"]
        assert "Traceback" not in server.log
    finally:
        await server.close()


async def test_a_signal_ends_a_server_whose_upstream_hangs(tmp_path, simulator):
    env = FAST | {"FETCH_TIMEOUT_MS": "60000"}
    server = await ServerProcess(tmp_path, **env, **upstream_env(simulator, simulator.credentials())).start()
    try:
        simulator.set_fault("kalshi", Fault.hang())
        await server.until("/api/pnl/current", lambda a: (a["data"]["sources"]["kalshi"]["ageMs"] or 0) > 300)
        assert await server.stop() == 0
    finally:
        await server.close()


async def test_a_second_signal_ends_at_once(tmp_path):
    server = await ServerProcess(tmp_path, **FAST).start()
    try:
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGTERM)
        assert await server.wait() in (0, 130)
    finally:
        await server.close()


async def test_check_of_the_demo(tmp_path):
    code, output = await command(tmp_path, "check")
    assert code == 0, output
    assert "DEMO" in output
    assert "The server can do its job." in output


async def test_check_tells_what_is_right_and_masks_secrets(tmp_path, simulator, redis_server):
    env = upstream_env(simulator, simulator.credentials())
    code, output = await command(tmp_path, "check", **env, REDIS_URL=redis_server.url, API_KEY="not-to-be-shown")
    assert code == 0, output
    for part in ("kalshi", "anthropic", "johns_revenue", "redis", "database"):
        assert f"ok       {part}" in output
    for secret in ("not-to-be-shown", env["ANTHROPIC_API_KEY"], env["JOHNS_REVENUE_TOKEN"], "PRIVATE KEY"):
        assert secret not in output


async def test_check_says_that_a_plain_key_cannot_read_costs(tmp_path):
    async with Simulator(step_interval=None) as simulator:
        env = upstream_env(simulator, simulator.credentials(anthropic="plain"))
        code, output = await command(tmp_path, "check", **env)
    assert code == 1
    assert "Admin key" in output
    assert "problem  anthropic" in output


async def test_check_says_what_is_wrong_with_a_private_key(tmp_path, simulator):
    env = upstream_env(simulator, simulator.credentials())
    code, output = await command(tmp_path, "check", **(env | {"KALSHI_PRIVATE_KEY": "not a key"}))
    assert code == 1
    assert "problem  kalshi" in output


async def test_check_takes_an_outage_for_a_note(tmp_path, simulator, redis_server):
    env = upstream_env(simulator, simulator.credentials())
    await redis_server.stop()
    await simulator.kill("johns")
    code, output = await command(tmp_path, "check", **env, REDIS_URL=redis_server.url)
    assert code == 0, output
    assert "note     johns_revenue" in output
    assert "note     redis" in output


async def test_check_fails_when_nothing_answers_or_the_database_cannot_be_written(tmp_path, simulator):
    env = upstream_env(simulator, simulator.credentials())
    (tmp_path / "file").write_text("not a directory")
    code, output = await command(tmp_path, "check", **env, DB_PATH=str(tmp_path / "file" / "pnl.db"))
    assert code == 1
    assert "problem  database" in output
    for upstream in ("kalshi", "anthropic", "johns"):
        await simulator.kill(upstream)
    code, output = await command(tmp_path, "check", **env)
    assert code == 1
    assert "none of the three answers" in output


async def test_settings_are_listed_masked_and_the_example_is_printed(tmp_path):
    code, output = await command(tmp_path, "settings", API_KEY="not-to-be-shown")
    assert code == 0
    assert "not-to-be-shown" not in output
    assert await command(tmp_path, "settings", "--example") == (0, example())
