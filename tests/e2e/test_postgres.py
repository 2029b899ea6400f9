"""A server alone with a PostgreSQL ledger: it publishes while the database is away, and the commands work on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pnl_backend.simulator import Simulator
from tests.ledger.store.places import PostgresPlace
from tests.support.postgres import PASSWORD, PostgresServer
from tests.support.server import FAST, ServerProcess, command, upstream_env


@pytest.fixture
def place(postgres: PostgresServer) -> Iterator[PostgresPlace]:
    """An empty database: the server makes the ledger's tables."""
    made = PostgresPlace(postgres, postgres.database(empty=True))
    yield made
    postgres.drop(made.url)


async def test_a_server_publishes_while_postgresql_is_away_and_stores_all_of_it_later(
    tmp_path: Path, simulator: Simulator, place: PostgresPlace
) -> None:
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()), DATABASE_URL=place.url)
    await server.start()
    try:
        await server.until("/health", lambda h: h["reconciliation"]["state"] == "reconciled")
        assert not list(tmp_path.glob("data/pnl.db*")), "no file takes its place"
        place.server.stop()
        await server.until("/health", lambda h: "nothing listens there" in (h["parts"]["store"].get("detail") or ""))
        before = (await server.get("/api/pnl/current"))["data"]["seq"]
        await server.until("/api/pnl/current", lambda body: body["data"]["seq"] > before + 5)
        place.server.start()
        await server.until("/health", lambda h: h["parts"]["store"]["ok"])
        await server.stop()
    finally:
        await server.close()
        if not place.server.running:
            place.server.start()
    assert PASSWORD not in server.log
    ((count, first, last),) = place.ask("SELECT count(*), min(seq), max(seq) FROM snapshots WHERE seq > 0")
    assert (first, count) == (1, last), "no number is missing"
    assert place.ask("SELECT count(*) FROM fills")[0][0] > 0
    assert place.ask("SELECT count(*) FROM gaps") == [(0,)]


async def test_the_commands_work_on_postgresql(tmp_path: Path, simulator: Simulator, place: PostgresPlace) -> None:
    sources = upstream_env(simulator, simulator.credentials())
    env = {**sources, "DEMO": "false", "DATABASE_URL": place.url}
    code, output = await command(tmp_path, "check", **env)
    assert code == 0, output
    assert "is empty: the server creates its tables" in output
    server = ServerProcess(tmp_path, **FAST, **sources, DATABASE_URL=place.url)
    await server.start()
    try:
        await server.until("/api/pnl/current", lambda body: body["data"]["seq"] > 3)
        code, output = await command(tmp_path, "check", **env)
        assert "can be written: epoch" in output
        code, output = await command(tmp_path, "ledger", "adjust", "kalshi", "5", "--reason", "interest", **env)
        assert (code, "is in use by another server" in output) == (1, True)
        code, output = await command(tmp_path, "export", "--resolution", "raw", **env)
        assert output.count("\n") > 3
        await server.stop()
    finally:
        await server.close()
    code, output = await command(tmp_path, "ledger", "adjust", "kalshi", "5", "--reason", "interest", **env)
    assert code == 0, output
    assert (await command(tmp_path, "ledger", "adjust", "--list", **env))[1].endswith("5.00 USD: interest\n")
    for words in (("backup", "--to", "x"), ("restore", "x")):
        code, output = await command(tmp_path, *words, **env)
        assert (code, "by its own tools" in output) == (1, True)
    code, output = await command(tmp_path, "ledger", "move", "--to", str(tmp_path / "copy.db"), **env)
    assert code == 0, output
    assert "holds the whole ledger now" in output
    listed = await command(tmp_path, "ledger", "adjust", "--list", DEMO="false", DB_PATH=str(tmp_path / "copy.db"))
    assert listed[1].endswith("5.00 USD: interest\n")
    assert PASSWORD not in output


async def test_a_start_that_postgresql_refuses_says_why_in_one_line(tmp_path: Path, place: PostgresPlace) -> None:
    server = ServerProcess(tmp_path, DEMO="true", DATABASE_URL=place.url.replace(PASSWORD, "wrong-words"))
    with pytest.raises(AssertionError, match="refuses the user or the password"):
        await server.start()
    assert "wrong-words" not in server.log
    assert "Traceback" not in server.log
