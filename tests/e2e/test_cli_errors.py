"""What a wrong use of the command line or of a setting leads to: one plain line, an exit code, never a traceback."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest

from pnl_backend import __version__
from pnl_backend.settings.model import account_fields
from tests.support.server import FAST, ROOT, ServerProcess, command, upstream_env
from tests.waiting import PATIENCE


def lines(output: str) -> list[str]:
    assert "Traceback" not in output
    return output.strip().splitlines()


@pytest.fixture
def taken():
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


async def test_a_port_in_use_is_one_line(tmp_path, taken):
    code, output = await command(tmp_path, PORT=str(taken), LOG_LEVEL="error")
    assert code == 1
    (line,) = lines(output)
    assert f"127.0.0.1:{taken}" in line
    assert "in use" in line
    assert "PORT" in line


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("203.0.113.7", "not an address of this machine"),
        ("no-such-host.invalid", "HOST"),
        ("a" * 64 + ".example", "HOST"),
    ],
)
async def test_an_address_that_is_not_ours_is_one_line(tmp_path, host, words):
    code, output = await command(tmp_path, HOST=host, PORT="0", API_KEY="k", LOG_LEVEL="error")
    assert code == 1
    (line,) = lines(output)
    assert host in line
    assert words in line


@pytest.mark.parametrize("text", [b"PORT=4000\nKEY=\xff\xfe\n", "PORT=4000\n".encode("utf-16")])
@pytest.mark.parametrize("arguments", [(), ("check",), ("settings",), ("export",)])
async def test_a_dotenv_that_is_not_utf8_is_one_line(tmp_path, text, arguments):
    (tmp_path / ".env").write_bytes(text)
    code, output = await command(tmp_path, *arguments)
    assert code == 2
    assert lines(output)[1:] == ["  .env: not UTF-8, allowed: a text file in UTF-8"]


SECRET = "sk-ant-a-secret-of-ours"
ALLOWED = 'NAME=value, NAME="value" with its closing quote, or # and a comment'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"PORT=0\n\nAPI_KEY: {SECRET}\n", [f".env line 3: cannot be read, allowed: {ALLOWED}"]),
        (f"API_KEY:{SECRET}=\n", [f".env line 1: cannot be read, allowed: {ALLOWED}"]),
        (f"# a comment\n{SECRET}\n", [f".env line 2: cannot be read, allowed: {ALLOWED}"]),
        (f'\r\nAPI_KEY="{SECRET}\r\nPORT=0\r\n', [f".env line 2: cannot be read, allowed: {ALLOWED}"]),
        (f"API_KEY='{SECRET}", [f".env line 1: cannot be read, allowed: {ALLOWED}"]),
        (f'API_KEY="{SECRET}" {SECRET}\nPORT=0', [f".env line 1: cannot be read, allowed: {ALLOWED}"]),
        (
            f'API_KEY="{SECRET}\n\nPORT=0\nADMIN_API_KEY="',
            [f".env line 1: a quote is not closed before PORT is set on line 3, allowed: {ALLOWED}"],
        ),
        (
            f"API_KEY: {SECRET}\nADMIN_API_KEY '{SECRET}'\nPORT=many\n",
            [f".env line {number}: cannot be read, allowed: {ALLOWED}" for number in (1, 2)],
        ),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("settings",)])
async def test_a_dotenv_line_that_is_no_assignment_is_named_by_its_number_and_not_shown(
    tmp_path, text, expected, arguments
):
    (tmp_path / ".env").write_bytes(text.encode())
    code, output = await command(tmp_path, *arguments, PORT="0")
    assert code == 2
    assert lines(output)[1:] == [f"  {line}" for line in expected]
    assert SECRET not in output


async def test_a_dotenv_takes_every_form_of_an_assignment(tmp_path):
    pem = "-----BEGIN PRIVATE KEY-----\nMIIB==\nabc=\n-----END PRIVATE KEY-----"
    text = f"""\ufeff# a comment
export PORT = 4711 # why
LOG_LEVEL='debug'
UPDATE_INTERVAL_MS="2000"
REDIS_URL=

KALSHI_API_KEY=key-id
KALSHI_PRIVATE_KEY="{pem}"
VITE_API_URL=http://localhost
some.other-name=1
CACHE_TTL=1000"""
    (tmp_path / ".env").write_text(text, "utf-8")
    code, output = await command(tmp_path, "settings")
    assert code == 0
    shown = dict(line.split(maxsplit=1) for line in lines(output))
    assert [shown[name] for name in ("PORT", "LOG_LEVEL", "UPDATE_INTERVAL_MS", "CACHE_TTL")] == [
        "4711", "debug", "2000", "1000",
    ]  # fmt: skip


async def test_a_dotenv_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / ".env").write_text("PORT=4711\n", "utf-8-sig")
    assert "4711" in (await command(tmp_path, "settings"))[1]


async def test_a_dotenv_that_is_not_utf8_is_one_line_at_a_reload_too(tmp_path):
    server = await ServerProcess(tmp_path, **FAST, API_KEY="a-key").start()
    try:
        (tmp_path / ".env").write_bytes(b"API_KEY=\xff\n")
        server.signal(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE):
            while "not UTF-8" not in server.log:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)
        answer = await server.get("/api/pnl/current", **{"X-API-Key": "a-key"})
        assert answer["success"]
        assert await server.stop() == 0
        assert "Traceback" not in server.log
    finally:
        await server.close()


@pytest.fixture
async def ledger(tmp_path):
    """A directory with a ledger in it that no server uses."""
    server = await ServerProcess(tmp_path, **FAST).start()
    await server.stop()
    (tmp_path / "file").write_text("in the way")
    return tmp_path


@pytest.mark.parametrize("out", ["nowhere/rows.csv", "file/rows.csv", "data", "/proc/rows.csv", "/dev/full/x"])
async def test_an_export_into_nowhere_is_one_line(ledger, out):
    code, output = await command(ledger, "export", "--out", out)
    assert code == 1
    (line,) = lines(output)
    assert out in line


async def test_an_export_to_a_full_disk_is_one_line(ledger):
    with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230 - a device that opens at once
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "server.py"), "export", cwd=ledger, stdout=full, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
    assert process.returncode == 1
    assert len(lines(said.decode())) == 1


@pytest.mark.parametrize("to", ["file", "file/backups", "/proc/backups", "/dev/null"])
async def test_a_backup_to_an_unwritable_place_is_one_line(ledger, to):
    code, output = await command(ledger, "backup", "--to", to)
    assert code == 1
    (line,) = lines(output)
    assert to in line


@pytest.mark.parametrize("file", ["nowhere.db", "file", "data"])
async def test_a_restore_of_what_is_no_backup_is_one_line(ledger, file):
    code, output = await command(ledger, "restore", file)
    assert code == 1
    (line,) = lines(output)
    assert file in line


@pytest.mark.parametrize("port", ["70000", "65533", "-1", "x"])
async def test_ports_that_a_simulator_cannot_have_are_one_line(tmp_path, port):
    code, output = await command(tmp_path, "simulate", "--port-base", port)
    assert code == 2
    assert lines(output)[-1].endswith(f"argument --port-base: given '{port}', allowed: 0 to 65532")


async def test_a_simulators_port_in_use_is_one_line(tmp_path, taken):
    code, output = await command(tmp_path, "simulate", "--port-base", str(taken))
    assert code == 1
    (line,) = lines(output)
    assert "in use" in line
    assert any(str(taken + at) in line for at in range(4))  # one of the others may be in use too


@pytest.mark.parametrize(
    "given",
    [
        {"DB_PATH": "file/pnl.db"},
        {"DB_PATH": "."},
        {"REDIS_URL": "redis://localhost:99999"},
        {"JOHNS_REVENUE_URL": "http://localhost:abc/"},
        {"KALSHI_PRIVATE_KEY_PATH": "binary"},
        {"KALSHI_PRIVATE_KEY_PATH": "."},
        {"PNL_SINCE": "0001-01-01x"},
    ],
)
async def test_settings_that_lead_nowhere_give_no_traceback(tmp_path, given):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for arguments in (("check",), ("settings",), ("export",), ("backup", "--to", "b")):
        _, output = await command(tmp_path, *arguments, **given)
        assert "Traceback" not in output
        (name,) = given
        if name != "DB_PATH":
            assert f"{name}: given" in output


@pytest.mark.parametrize("token", ["two\nlines", "ключ"])
async def test_a_token_that_no_header_can_hold_gives_no_traceback_in_check(tmp_path, simulator, token):
    env = upstream_env(simulator, simulator.credentials()) | {"JOHNS_REVENUE_TOKEN": token}
    _, output = await command(tmp_path, "check", **env)
    assert "Traceback" not in output
    assert token not in output


@pytest.mark.parametrize(
    ("name", "near"),
    [("KALSHI_API_KY", "KALSHI_API_KEY"), ("CORS_ORIGINS", "CORS_ORIGIN"), ("ANTROPIC_API_KEY", "ANTHROPIC_API_KEY")],
)
@pytest.mark.parametrize("where", ["file", "environment"])
async def test_a_misspelt_name_stops_the_start_with_the_right_one(tmp_path, name, near, where):
    if where == "file":
        (tmp_path / ".env").write_text(f"{name}=some-secret\n")
    code, output = await command(tmp_path, **({} if where == "file" else {name: "some-secret"}))
    assert code == 2
    (line,) = lines(output)[1:]
    assert line.strip().startswith(f"{name}: ")
    assert line.endswith(f"did you mean {near}?")
    assert "some-secret" not in output


async def test_a_near_name_is_named_beside_what_is_missing_without_it(tmp_path):
    (tmp_path / ".env").write_text("NODE_ENV=production\nAPI_KEYY=some-secret\n")
    code, output = await command(tmp_path)
    assert code == 2
    missing, near = sorted(line.strip() for line in lines(output)[1:])
    assert missing.startswith("API_KEY: ")
    assert near == "API_KEYY: no setting has this name (.env); did you mean API_KEY?"


@pytest.mark.parametrize("field", sorted(account_fields()))
async def test_any_name_of_a_source_keeps_the_demo_from_starting_by_itself(tmp_path, field):
    value = "http://127.0.0.1:9" if field.endswith("_url") else "3" if field == "kalshi_subaccounts" else "given"
    if field == "kalshi_ws_url":
        value = "ws://127.0.0.1:9"
    if field == "kalshi_private_key_path":
        (tmp_path / "given").write_text("-----BEGIN")
    code, output = await command(tmp_path, "check", **{field.upper(): value})
    assert "DEMO: " not in output
    assert "kalshi" in output
    assert code is not None


@pytest.mark.parametrize("missing", ["KALSHI_API_KEY", "KALSHI_PRIVATE_KEY"])
async def test_half_a_source_starts_the_server_and_is_marked_with_what_is_missing(tmp_path, simulator, missing):
    env = upstream_env(simulator, simulator.credentials())
    del env[missing]
    server = await ServerProcess(tmp_path, **FAST, **env).start()
    try:
        answer = await server.until("/api/pnl/current", lambda a: a["data"]["sources"]["johns"]["status"] == "live")
        kalshi = answer["data"]["sources"]["kalshi"]
        assert kalshi["status"] == "degraded"
        assert missing in kalshi["error"]
        assert f"{missing}" in server.log
        assert "DEMO" not in server.log
        code, output = await command(tmp_path, "check", **env)
        assert (code, f"{missing}" in output) == (0, True)
        assert "warning  kalshi" in output
        assert (await command(tmp_path, "check", "--strict", **env))[0] == 1
    finally:
        await server.close()


async def test_version_port_and_host_as_options(tmp_path):
    assert await command(tmp_path, "--version") == (0, f"pnl-backend {__version__}\n")
    for arguments in (("--port", "0", "--host", "127.0.0.2"), ("serve", "--port", "0", "--host", "127.0.0.2")):
        server = await ServerProcess(tmp_path, arguments=arguments, **FAST, PORT="1", HOST="localhost").start()
        assert server.url == f"http://127.0.0.2:{server.port}"
        await server.close()
    code, output = await command(tmp_path, "--port", "70000")
    assert code == 2
    assert "PORT: given 70000, allowed: 0 to 65535" in output


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "localhost"),
        ("localhost", "localhost"),
        ("127.0.0.2", "127.0.0.2"),
        ("0.0.0.0", "localhost"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
    ],
)
async def test_the_address_that_is_printed_can_be_used(tmp_path, host, shown):
    server = await ServerProcess(tmp_path, **FAST, HOST=host, API_KEY="k").start()
    try:
        assert server.url == f"http://{shown}:{server.port}"
        assert (await server.get("/health/live")) == {"status": "live"}
    finally:
        await server.close()
