"""What the health routes show without a key: the server's state; in production no money and no reason."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from pnl_backend.access.wrongkeys import WRONG_KEYS_PER_MINUTE
from tests.support.server import FAST, ServerProcess, upstream_env

KEY = "a-read-key-of-more-than-thirty-two-characters"
ROUTES = ("/health", "/api/health")


@pytest.fixture(params=["production", "development"])
async def keyed(request, tmp_path, simulator):
    """A server with a key and books that are reconciled; where it runs as what the parameter says."""
    since = (datetime.now(UTC) - timedelta(days=20)).date()
    env = upstream_env(simulator, simulator.credentials()) | {"PNL_SINCE": since.isoformat()}
    process = ServerProcess(tmp_path, **FAST, **env, API_KEY=KEY, NODE_ENV=request.param, HOST="127.0.0.1")
    await process.start()
    yield process
    await process.close()


async def test_money_is_shown_with_a_key_and_outside_production(keyed):
    async def shown(route, **headers):
        return (await keyed.get(route, **headers)).get("reconciliation")

    production = keyed.env["NODE_ENV"] == "production"
    async with aiohttp.ClientSession(keyed.url) as http:
        for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
            for route in ROUTES:
                assert {"state", "gap", "differences"} <= (await shown(route, **headers)).keys()
        for headers in ({}, {"X-API-Key": "wrong"}):
            for route in ROUTES:
                assert (await shown(route, **headers) is None) is production
                async with http.get(route, headers=headers) as answer:
                    assert answer.status == 200
        body = await keyed.get("/health")
        assert body["parts"]["reconciliation"]["ok"] is True


async def test_a_wrong_key_counts_here_too_and_never_fails_a_probe(keyed):
    async with aiohttp.ClientSession(keyed.url) as http:
        for i in range(WRONG_KEYS_PER_MINUTE + 5):
            async with http.get("/health", headers={"X-API-Key": f"guess-{i}"}) as answer:
                assert answer.status == 200
        async with http.get("/api/pnl/current", headers={"X-API-Key": "guess"}) as answer:
            assert answer.status == 429


async def test_what_is_lost_with_the_ledger_file_is_in_health_with_a_key(keyed):
    """An older copy of the ledger is put into its place; the state of every part is public, the reason is not."""
    copy, ledger = keyed.directory / "copy.db", keyed.directory / "data" / "pnl.db"
    with closing(sqlite3.connect(ledger)) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
        (copied,) = database.execute("SELECT max(seq) FROM snapshots").fetchone()
    await keyed.until(f"/api/pnl/current?apiKey={KEY}", lambda body: body["data"]["seq"] > copied + 3)
    copy.replace(ledger)
    body = await keyed.until(f"/health?apiKey={KEY}", lambda body: "detail" in body["parts"]["store"])
    assert "stored snapshots are lost" in body["parts"]["store"]["detail"]
    store = (await keyed.get("/health"))["parts"]["store"]
    assert ("detail" in store) is (keyed.env["NODE_ENV"] == "development")
