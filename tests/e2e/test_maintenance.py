"""Backups, restore, export and retention of a running server, by schedule and by command."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.server import FAST, ServerProcess, command, upstream_env
from tests.waiting import until

DAY_MS = 86_400_000


@pytest.fixture
async def idle(tmp_path, simulator):
    """A server that has not been started, in the directory where commands are run."""
    (tmp_path / "data").mkdir()
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()))
    yield server
    await server.close()


def sequence(file):
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [seq for (seq,) in connection.execute("SELECT seq FROM snapshots ORDER BY seq")]


async def test_a_backup_is_made_at_start_and_by_command_while_the_server_writes(idle, tmp_path):
    idle.env |= {"BACKUP_DIR": "backups", "UPDATE_INTERVAL_MS": "20", "LOG_LEVEL": "info"}
    await idle.start()
    await until(lambda: "was backed up to" in idle.log)
    await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > 30)
    code, output = await command(tmp_path, "backup", "--to", "elsewhere", **idle.env)
    assert code == 0, output
    (scheduled,) = tmp_path.glob("backups/pnl-*.db")
    (commanded,) = tmp_path.glob("elsewhere/pnl-*.db")
    assert output.strip().endswith(commanded.name)
    for made in (scheduled, commanded):
        held = sequence(made)
        assert held == list(range(1, len(held) + 1)), "a prefix, complete"
    assert len(sequence(commanded)) > 30
    assert "Traceback" not in idle.log


async def test_a_restored_backup_serves_and_the_ledger_that_was_there_is_kept(idle, tmp_path):
    await idle.start()
    await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > 5)
    code, output = await command(tmp_path, "backup", "--to", "backups", **idle.env)
    assert code == 0, output
    (made,) = tmp_path.glob("backups/pnl-*.db")
    saved = sequence(made)
    code, output = await command(tmp_path, "restore", str(made), **idle.env)
    assert code == 1
    assert "is in use by another server" in output
    later = (await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > saved[-1] + 5))["data"]
    assert await idle.stop() == 0

    code, output = await command(tmp_path, "restore", str(made), **idle.env)
    assert code == 0, output
    assert "is kept as" in output
    (aside,) = tmp_path.glob("data/pnl.db.replaced-*")
    assert sequence(aside)[-1] >= later["seq"]
    await idle.start()
    fresh = (await idle.until("/api/pnl/current", lambda a: a["data"]["epoch"] != later["epoch"]))["data"]
    assert fresh["seq"] >= saved[-1]
    assert idle.rows("PRAGMA integrity_check") == [("ok",)]


async def test_restore_refuses_what_is_not_a_backup_of_this_ledger(idle, tmp_path):
    await idle.start()
    assert await idle.stop() == 0
    ledger = tmp_path / "data" / "pnl.db"
    before = sequence(ledger)
    foreign, newer, demo, damaged = (tmp_path / name for name in ("foreign", "newer", "demo", "damaged"))
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    for file, sql in (
        (newer, "PRAGMA user_version = 99"),
        (demo, "UPDATE meta SET value = 'demo' WHERE key = 'origin'"),
    ):
        shutil.copy(ledger, file)
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(sql)
    damaged.write_bytes(ledger.read_bytes()[:5000])
    for file, words in (
        (foreign, "is not a ledger of this server"),
        (newer, "was made by a newer version"),
        (demo, "holds demo figures, this server is live"),
        (damaged, "is damaged"),
        (tmp_path / "nowhere", "there is no backup at"),
    ):
        code, output = await command(tmp_path, "restore", file.name, **idle.env)
        assert (code, words in output) == (1, True), output
        assert "Traceback" not in output
    assert sequence(ledger) == before


async def test_an_export_equals_the_api_while_the_server_runs(idle, tmp_path):
    await idle.start()
    await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > 5)
    told = (await idle.get("/api/pnl/history?resolution=raw&limit=1000"))["data"]["data"]
    ends = ["--from", str(told[0]["timestamp"]), "--to", str(told[-1]["timestamp"])]
    code, output = await command(tmp_path, "export", *ends, "--resolution", "raw", "--format", "json", **idle.env)
    assert code == 0, output
    assert json.loads(output) == told
    code, output = await command(tmp_path, "export", "--from", "2020-01-01", "--out", "rows.csv", **idle.env)
    assert code == 0, output
    head, *lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert (
        head
        == "timestamp,netPnL,kalshiPnL,costs,revenue,open,high,low,close,count,degraded,estimated,complete,restated"
    )
    assert len(lines) >= 1
    assert not list(tmp_path.glob("*.partial"))
    assert await idle.stop() == 0
    code, output = await command(tmp_path, "export", "--from", "2020-01-01", "--resolution", "1d", **idle.env)
    assert code == 0, output
    assert len(output.splitlines()) == 2, "a ledger at rest can be read too"


async def test_commands_print_what_is_missing(tmp_path):
    env = {"NODE_ENV": "development"}
    for arguments, code, words in (
        (["backup"], 2, "BACKUP_DIR"),
        (["backup", "--to", "x"], 1, "there is no ledger at"),
        (["export"], 1, "there is no ledger at"),
        (["export", "--from", "yesterday"], 1, "'yesterday' is neither"),
        (["export", "--format", "xml"], 2, "invalid choice"),
    ):
        got, output = await command(tmp_path, *arguments, **env)
        assert (got, words in output) == (code, True), output
        assert "Traceback" not in output


async def test_a_backup_that_fails_is_in_the_health_report_and_is_no_end(idle, tmp_path):
    (tmp_path / "in the way").touch()
    idle.env |= {"BACKUP_DIR": str(tmp_path / "in the way" / "backups")}
    await idle.start()
    health = await idle.until("/health", lambda h: not h["parts"]["upkeep"]["ok"])
    assert health["status"] == "healthy"
    assert health["parts"]["upkeep"]["state"] == "failing"
    assert "backup" in health["parts"]["upkeep"]["detail"]
    assert idle.log.count("Maintenance of the ledger failed") == 1


async def test_raw_rows_past_their_time_go_while_the_feed_goes_on(idle, tmp_path):
    await idle.start()
    assert await idle.stop() == 0
    old, newer = 1200, 5000  # the newest 5,000 may still be asked for by clients
    begin = int((datetime.now(UTC) - timedelta(days=40)).timestamp() * 1000)
    with closing(sqlite3.connect(tmp_path / "data" / "pnl.db", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for column, table in (
            ("seq", "snapshots"),
            ("seq", "payloads"),
            ("first_seq", "rollups"),
            ("last_seq", "rollups"),
        ):
            # Away and back, so that no number is taken while another one moves to it.
            connection.execute(f"UPDATE {table} SET {column} = -{column} - {old + newer}")
            connection.execute(f"UPDATE {table} SET {column} = -{column}")
        rows = [(seq, begin + seq * 1000, seq, seq, 0, 0) for seq in range(1, old + newer + 1)]
        connection.executemany("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, 0)", rows)
        shown = connection.execute("SELECT data, detail FROM payloads LIMIT 1").fetchone()
        connection.executemany("INSERT INTO payloads VALUES (?, ?, ?)", [(row[0], *shown) for row in rows])
        connection.execute("COMMIT")
    await idle.start()
    await until(lambda: "raw snapshots older than 30 days were deleted" in idle.log)
    await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > old + newer + 3)
    held = [seq for (seq,) in idle.rows("SELECT seq FROM snapshots ORDER BY seq")]
    assert held[0] == 1, "the first of all is what the first day is measured against"
    assert held[1] > old
    assert held[1:] == list(range(held[1], held[-1] + 1))
    assert (await idle.get("/health"))["status"] == "healthy"
