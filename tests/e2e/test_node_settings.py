"""Settings files of the Node server start this one: what cannot work is named, nothing is ignored without a message."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pnl_backend.settings.model import LOCAL_REDIS
from tests.support.older_documents import OURS, given_names, printed
from tests.support.server import ServerProcess, command

FILES = OURS | printed()
KEY = "a-key-of-more-than-thirty-two-letters"

SAFE = {"FETCH_TIMEOUT_MS": "300", "HOST": "127.0.0.1"}
"""Whatever a file says, no test waits long for an upstream of the outside, and none is open to others."""


@pytest.mark.parametrize("name", FILES)
async def test_the_server_starts_with_an_older_file_and_names_what_cannot_work(tmp_path, name):
    text = FILES[name]
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    given = given_names(text)
    environment = SAFE | ({"API_KEY": KEY} if "NODE_ENV=production" in text and "API_KEY" not in given else {})
    server = await ServerProcess(tmp_path, **environment).start()
    key = environment.get("API_KEY") or dict(line.split("=", 1) for line in text.split() if "=" in line).get("API_KEY")
    headers = {"X-API-Key": key} if key else {}
    try:
        answer = await server.get("/api/pnl/current", **headers)
        assert answer["success"], answer
        code, checked = await command(tmp_path, "check", **environment)
        for words in expected(given, text):
            assert words in server.log, words
            assert words in checked, words
        if "KALSHI_API_KEY" in given:
            kalshi = answer["data"]["sources"]["kalshi"]
            assert kalshi["status"] == "degraded"
            assert "private key" in kalshi["error"] or "PRIVATE_KEY" in kalshi["error"]
            assert "kalshi" in answer["data"]["degraded"]
        assert code is not None
        assert "Traceback" not in server.log + checked
        assert await server.stop() == 0
    finally:
        await server.close()


def expected(given, text):
    """What the log and the check have to say of a file."""
    yield from (f"{name}: is read when a dashboard is built" for name in given if name.startswith("VITE_"))
    if "api.kalshi.com/v1" in text:
        yield "KALSHI_API_URL: api.kalshi.com no longer answers"
    if "KALSHI_API_SECRET" in given:
        yield "Kalshi's private key cannot be used"
    elif "KALSHI_API_KEY" in given:
        yield "KALSHI_PRIVATE_KEY_PATH or KALSHI_PRIVATE_KEY is missing"


@pytest.mark.parametrize("name", FILES)
async def test_every_name_of_an_older_file_takes_effect_or_is_named(tmp_path, name):
    (tmp_path / ".env").write_text(FILES[name], encoding="utf-8")
    environment = {} if "NODE_ENV=production" not in FILES[name] else {"API_KEY": KEY}
    code, shown = await command(tmp_path, "settings", **environment)
    assert code == 0, shown
    settings = dict(line.split(maxsplit=1) for line in shown.splitlines())
    given = given_names(FILES[name])
    for given_name in given:
        target = {"AGGREGATION_INTERVAL_MS": "UPDATE_INTERVAL_MS", "KALSHI_API_SECRET": "KALSHI_PRIVATE_KEY"}
        if not given_name.startswith("VITE_"):
            assert settings[target.get(given_name, given_name)] != "-", given_name
    if "AGGREGATION_INTERVAL_MS" in given:
        assert settings["UPDATE_INTERVAL_MS"] == "10000"


async def test_names_without_effect_are_in_the_log_and_in_check(tmp_path):
    (tmp_path / ".env").write_text("LOG_COLOUR=yes\nREACT_APP_API_URL=http://x\n")
    server = await ServerProcess(tmp_path).start()
    try:
        _, checked = await command(tmp_path, "check")
        for words in ("LOG_COLOUR: no setting has this name", "REACT_APP_API_URL: is read when a dashboard is built"):
            assert words in server.log
            assert words in checked
    finally:
        await server.close()


async def test_use_redis_alone_asks_for_redis_on_this_machine(tmp_path):
    _, checked = await command(tmp_path, "check", USE_REDIS="true")
    assert "redis " in checked
    assert "not configured; the server runs without" not in checked
    assert LOCAL_REDIS == "redis://localhost:6379"


async def test_johns_base_is_asked_below_api_revenue(tmp_path, simulator):
    base = simulator.revenue_url.removesuffix("/api/revenue")
    token = simulator.credentials().revenue_token
    code, checked = await command(tmp_path, "check", JOHN_API_BASE_URL=base + "/", JOHNS_REVENUE_TOKEN=token)
    assert "ok       johns_revenue" in checked, checked
    assert code == 0


async def test_the_node_servers_database_is_not_taken_for_a_ledger(tmp_path):
    with closing(sqlite3.connect(tmp_path / "company.db")) as older:
        older.execute("CREATE TABLE pnl_snapshots (timestamp INTEGER PRIMARY KEY, net_pnl REAL)")
    before = (tmp_path / "company.db").read_bytes()
    code, output = await command(tmp_path, DB_PATH="./company.db", DEMO="false", PORT="0")
    assert code == 1
    assert "company.db is the Node server's database, not a ledger of this server" in output
    assert "pnl-backend import company.db" in output
    assert "Traceback" not in output
    assert (tmp_path / "company.db").read_bytes() == before
