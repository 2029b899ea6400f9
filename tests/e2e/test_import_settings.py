"""`pnl-backend import` of an older `.env`: a new one that starts, no secret anywhere else, nothing overwritten."""

from __future__ import annotations

import stat

import pytest
from dotenv import dotenv_values

from tests.support.older_documents import OURS, given_names, printed
from tests.support.server import ServerProcess, command

FILES = OURS | printed()

GUIDE = """
KALSHI_API_KEY=an-id-of-kalshi
KALSHI_API_SECRET=secret-of-kalshi
ANTHROPIC_API_KEY="secret of # anthropic"
JOHN_API_BASE_URL=https://user-j:secret-john@john.invalid/
PORT=8080
NODE_ENV=production
API_KEY=secret-short
REDIS_URL=redis://:secret-redis@localhost:6379
DB_PATH=./data/company.db
AGGREGATION_INTERVAL_MS=10000  # ten seconds
STATSD_HOST=secret-host
VITE_WS_URL=ws://secret-ws
CACHE_TTL=soon
LOG_LEVEL=
CORS_ORIGIN=${SECRET_ORIGIN}
"""


async def run(tmp_path, name="old.env", code=0):
    got, output = await command(tmp_path, "import", name)
    assert got == code, output
    assert "Traceback" not in output
    assert "secret-" not in output
    assert "secret of" not in output
    return output


async def test_an_older_file_becomes_one_of_this_server(tmp_path):
    (tmp_path / "old.env").write_text(GUIDE)
    output = await run(tmp_path)
    for words in (
        "KALSHI_API_KEY: taken\n",
        "KALSHI_API_SECRET: not taken: no PEM text",
        "ANTHROPIC_API_KEY: taken\n",
        "JOHN_API_BASE_URL: taken as JOHNS_REVENUE_URL",
        "AGGREGATION_INTERVAL_MS: taken as UPDATE_INTERVAL_MS",
        "DB_PATH: not taken: that file is the Node server's; take it over with: pnl-backend import ./data/company.db",
        "STATSD_HOST: not taken: nothing here has this name",
        "VITE_WS_URL: not taken: read when a dashboard is built",
        "CACHE_TTL: not taken: allowed: whole milliseconds",
        "LOG_LEVEL: not taken: it is empty",
        "CORS_ORIGIN: not taken: it refers to another name",
        "API_KEY: made anew, production refuses the old one",
        ".env is written, for its owner alone",
    ):
        assert words in output, words
    written = tmp_path / ".env"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    held = dotenv_values(written, interpolate=False)
    key = held.pop("API_KEY")
    assert len(key) >= 32
    assert key not in output
    assert held == {
        "KALSHI_API_KEY": "an-id-of-kalshi",
        "ANTHROPIC_API_KEY": "secret of # anthropic",
        "JOHNS_REVENUE_URL": "https://user-j:secret-john@john.invalid/api/revenue",
        "PORT": "8080",
        "NODE_ENV": "production",
        "REDIS_URL": "redis://:secret-redis@localhost:6379",
        "UPDATE_INTERVAL_MS": "10000",
    }
    assert {file.name for file in tmp_path.iterdir()} == {"old.env", ".env"}, "nothing else is written anywhere"
    before = written.read_bytes()
    assert ".env is there and lacks nothing of it" in await run(tmp_path)
    assert written.read_bytes() == before


async def test_a_pem_of_several_lines_arrives_whole(tmp_path):
    pem = "-----BEGIN PRIVATE KEY-----\nab'c\\d\n-----END PRIVATE KEY-----\n"
    (tmp_path / "old.env").write_text('KALSHI_API_SECRET="{}"\n'.format(pem.replace("\\", "\\\\").replace("\n", "\\n")))
    assert "KALSHI_API_SECRET: taken as KALSHI_PRIVATE_KEY" in await run(tmp_path)
    assert dotenv_values(tmp_path / ".env") == {"KALSHI_PRIVATE_KEY": pem}


async def test_a_file_that_is_there_is_never_changed(tmp_path):
    (tmp_path / "old.env").write_text("PORT=8080\nAGGREGATION_INTERVAL_MS=10000\nANTHROPIC_API_KEY=secret-a\n")
    (tmp_path / ".env").write_text("PORT=4000\nUPDATE_INTERVAL_MS=7000\n")
    output = await run(tmp_path)
    assert ".env stays as it is; what it lacks is in .env.import: ANTHROPIC_API_KEY" in output
    assert (tmp_path / ".env").read_text() == "PORT=4000\nUPDATE_INTERVAL_MS=7000\n"
    added = tmp_path / ".env.import"
    assert added.read_text() == "ANTHROPIC_API_KEY=secret-a\n"
    assert stat.S_IMODE(added.stat().st_mode) == 0o600
    assert "is in .env.import already" in await run(tmp_path)
    added.write_text("OTHER=1\n")
    assert ".env.import is there already" in await run(tmp_path, code=1)
    assert added.read_text() == "OTHER=1\n"


async def test_the_file_in_force_is_only_reported_on(tmp_path):
    (tmp_path / ".env").write_text("PORT=8080\nNODE_ENV=production\nJOHN_API_BASE_URL=https://john.invalid\n")
    output = await run(tmp_path, ".env")
    assert "nothing is written" in output
    assert "made anew" not in output
    assert [file.name for file in tmp_path.iterdir()] == [".env"]


async def test_a_file_with_nothing_to_take_writes_nothing(tmp_path):
    (tmp_path / "old.env").write_text("export FOO=1\nKALSHI_API_KEY=your_kalshi_key\n")
    output = await run(tmp_path)
    assert "KALSHI_API_KEY: not taken: a placeholder, no value" in output
    assert "there is nothing to write" in output
    assert not (tmp_path / ".env").exists()


async def test_a_directory_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "old.env").write_text("PORT=8080\n")
    (tmp_path / ".env").mkdir()
    output = await run(tmp_path, code=1)
    assert ".env" in output.strip().splitlines()[-1]


@pytest.mark.parametrize("name", FILES)
async def test_every_name_of_every_older_file_is_reported_and_what_is_written_starts(tmp_path, name):
    (tmp_path / "old.env").write_text(FILES[name], encoding="utf-8")
    output = await run(tmp_path)
    for given in given_names(FILES[name]):
        assert f"  {given}: " in output
    server = await ServerProcess(tmp_path, HOST="127.0.0.1", FETCH_TIMEOUT_MS="300").start()
    try:
        assert (await server.get("/health/live")) == {"status": "live"}
        held = dotenv_values(tmp_path / ".env") if (tmp_path / ".env").exists() else {}
        headers = {"X-API-Key": held["API_KEY"]} if held.get("API_KEY") else {}
        assert (await server.get("/api/pnl/current", **headers))["success"]
        assert await server.stop() == 0
    finally:
        await server.close()
