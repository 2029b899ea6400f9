"""`pnl-backend import` of what the Node server stored: taken once, marked, and part of nothing that is live."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from contextlib import closing, suppress

import pytest

from tests.ledger.sqlite.recompute import kept, recomputed
from tests.support import node_files
from tests.support.clients import listening
from tests.support.server import FAST, ROOT, ServerProcess, command, upstream_env
from tests.waiting import until

START = 1_700_000_000_000
"""2023-11-14T22:13:20Z"""

LIVE = {"NODE_ENV": "development"}


@pytest.fixture
async def idle(tmp_path, simulator):
    """A server on real credentials that has not been started, in the directory where commands are run."""
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()))
    yield server
    await server.close()


@pytest.fixture
def ledger(tmp_path):
    """Rows of a query on the ledger's file."""

    def run(sql):
        with closing(sqlite3.connect(f"file:{tmp_path / 'data' / 'pnl.db'}?mode=ro", uri=True)) as reader:
            return reader.execute(sql).fetchall()

    return run


def contents(ledger):
    tables = ("snapshots", "payloads", "rollups", "epochs", "imported_trades", "imported_costs", "imported_deals")
    return {table: ledger(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables}


async def run(tmp_path, file, code=0, **env):
    got, output = await command(tmp_path, "import", file.name, **(env or LIVE))
    assert got == code, output
    assert "Traceback" not in output
    return output


def cents(row):
    at, kalshi, costs, revenue, _, _ = row
    k, c, r = round(kalshi * 100), round(costs * 100), round(revenue * 100)
    return at, k + r - c, k, c, r


async def test_a_database_is_history_before_the_first_start_and_no_part_of_what_is_live(idle, ledger, tmp_path):
    rows = node_files.snapshots(START, 500)
    file = node_files.database(tmp_path / "old.db", rows)
    before = file.read_bytes()
    output = await run(tmp_path, file)
    assert "pnl_snapshots: 500 taken, 0 held already, 0 not taken" in output
    assert "pnl_deltas: not taken: they follow from the snapshots" in output
    assert "holds 500 imported snapshots now, from 2023-11-14 to 2023-11-14" in output
    assert file.read_bytes() == before
    held = ledger("SELECT at, net, kalshi, costs, revenue FROM snapshots ORDER BY seq")
    assert held == [cents(row) for row in rows]

    await idle.start()
    current = (await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > 5))["data"]
    first = ledger("SELECT min(seq) FROM snapshots WHERE seq > 0")
    assert first == [(1,)]
    asked = f"/api/pnl/history?from={START}&to={START + 3_000_000}&resolution="
    raw = (await idle.get(asked + "raw"))["data"]["data"]
    assert [round(row["netPnL"] * 100) for row in raw] == [cents(row)[1] for row in rows]
    assert all(row["imported"] is True for row in raw)
    (day,) = (await idle.get(f"/api/pnl/history?from={START}&to={START + 3_000_000}&resolution=1d"))["data"]["data"]
    nets = [cents(row)[1] / 100 for row in rows]
    assert (day["open"], day["high"], day["low"], day["close"]) == (nets[0], max(nets), min(nets), nets[-1])
    assert (day["count"], day["imported"]) == (500, True)
    newest = (await idle.get("/api/pnl/history?limit=1000"))["data"]["data"]
    assert {row["epoch"] for row in newest} == {current["epoch"]}
    assert "imported" not in (await idle.get("/api/pnl/history?resolution=1m"))["data"]["data"][-1]
    code, csv = await command(tmp_path, "export", "--resolution", "raw", "--to", "2023-12-01", **LIVE, DEMO="false")
    assert (code, len(csv.splitlines())) == (0, 501)
    async with listening(idle.url) as client:
        told = await client.io.call("subscribe_pnl", {"since": {"epoch": "imported-snapshots", "seq": 0}})
        assert told["recovered"] is False
        assert (await client.next("pnl_update"))["data"]["epoch"] == current["epoch"]
        await client.io.emit("subscribe_dashboard")
        dates = [entry["date"] for entry in (await client.next("pnl-update"))["trendsData"]]
        assert not [date for date in dates if date < "2024"]
    views = ledger("SELECT * FROM pnl_snapshots WHERE timestamp < 1800000000000 AND trade_count = 7")
    assert len(views) == 500
    assert await idle.stop() == 0
    assert "Traceback" not in idle.log


async def test_a_second_import_changes_nothing(idle, ledger, tmp_path):
    file = node_files.database(
        tmp_path / "old.db",
        node_files.snapshots(START, 5000, step=7_000),
        trades=node_files.TRADES,
        costs=node_files.COSTS,
        deals=node_files.DEALS,
    )
    output = await run(tmp_path, file)
    for words in ("kalshi_trades: 2 taken", "anthropic_costs: 2 taken", "john_revenue: 2 taken", "5,000 taken"):
        assert words in output
    once = contents(ledger)
    output = await run(tmp_path, file)
    assert output.count(" 0 taken, ") == 4
    assert "pnl_snapshots: 0 taken, 5,000 held already, 0 not taken" in output
    assert contents(ledger) == once
    # Upkeep at the start lets old raw rows go, but not these: they would be counted a second time.
    await idle.start()
    await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > 2)
    output = await run(tmp_path, file, code=1, **idle.env)
    assert "is in use by another server" in output
    assert await idle.stop() == 0
    output = await run(tmp_path, file, **idle.env)
    assert "pnl_snapshots: 0 taken, 5,000 held already, 0 not taken" in output
    assert [row for row in contents(ledger)["rollups"] if row[2] < 0] == once["rollups"]


async def test_what_overlaps_is_not_taken_and_nothing_published_changes(idle, ledger, tmp_path):
    await idle.start()
    await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > 5)
    assert await idle.stop() == 0
    before = contents(ledger)
    ((first,),) = ledger("SELECT min(at) FROM snapshots")
    rows = node_files.snapshots(first - 10 * 5000, 20)
    file = node_files.database(tmp_path / "old.db", rows)
    output = await run(tmp_path, file, **idle.env)
    assert "pnl_snapshots: 10 taken, 0 held already, 10 not taken" in output
    assert "10 not taken: not before the ledger's own first snapshot, 20" in output
    after = contents(ledger)
    assert [row for row in after["snapshots"] if row[0] > 0] == before["snapshots"]
    assert after["payloads"] == before["payloads"]
    assert [row for row in after["rollups"] if row[2] > 0] == before["rollups"], "no interval of ours holds theirs"
    await idle.start()
    last = before["snapshots"][-1][0]
    answer = (await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > last + 2))["data"]
    assert answer["seq"] < last + 1000, "a clean import leaves no number out"


@pytest.mark.parametrize("shape", [node_files.whole, node_files.sums, node_files.stored])
@pytest.mark.parametrize("wrap", [node_files.envelope, list])
async def test_an_export_of_the_history_in_each_of_its_shapes(ledger, tmp_path, shape, wrap):
    rows = node_files.snapshots(START, 300)
    file = node_files.export(tmp_path / "history.json", wrap([shape(row) for row in rows]))
    assert "rows: 300 taken, 0 held already, 0 not taken" in await run(tmp_path, file)
    assert ledger("SELECT at, net, kalshi, costs, revenue FROM snapshots ORDER BY seq") == [cents(r) for r in rows]
    assert "rows: 0 taken, 300 held already, 0 not taken" in await run(tmp_path, file)


async def test_two_files_that_interleave_are_in_order_of_time(ledger, tmp_path):
    rows = node_files.snapshots(START, 100)
    odd = node_files.export(tmp_path / "odd.json", [node_files.sums(row) for row in rows[1::2]])
    await run(tmp_path, odd)
    await run(tmp_path, node_files.database(tmp_path / "even.db", rows[::2]))
    assert ledger("SELECT at, net, kalshi, costs, revenue FROM snapshots ORDER BY seq") == [cents(r) for r in rows]
    (day,) = ledger("SELECT open, close, count FROM rollups WHERE span = 86400000")
    assert day == (cents(rows[0])[1], cents(rows[-1])[1], 100)


async def test_imported_facts_are_hidden_where_the_ledger_has_its_own(idle, ledger, tmp_path):
    await idle.start()
    await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > 5 and not a["data"]["degraded"])
    figures = (await idle.get("/api/pnl/current"))["data"]
    assert await idle.stop() == 0
    ((ticker,),) = ledger("SELECT ticker FROM positions LIMIT 1")
    ((deal,),) = ledger("SELECT id FROM deals LIMIT 1")
    ((month,),) = ledger("SELECT month FROM anthropic_costs LIMIT 1")
    before = {view: ledger(f"SELECT * FROM {view}") for view in ("kalshi_trades", "anthropic_costs", "john_revenue")}
    file = node_files.database(
        tmp_path / "old.db",
        trades=[*node_files.TRADES, ("t-9", ticker, "buy", 1, 0.5, 0.5, "open", 0.0, START)],
        costs=[*node_files.COSTS, ("c-9", month, 99.0, 1, START)],
        deals=[*node_files.DEALS, (deal, "theirs", "2023-11-20", 1.0, "recognized", START)],
    )
    await run(tmp_path, file, **idle.env)
    for view, added in before.items():
        assert len(ledger(f"SELECT * FROM {view}")) == len(added) + 2, view
        assert set(added) <= set(ledger(f"SELECT * FROM {view}"))
    assert ledger("SELECT symbol, quantity, entry_price, realized_pnl FROM kalshi_trades WHERE id = 't-2'") == [
        ("KXOLD-2", 5.0, 0.6, 12.345)
    ]
    await idle.start()
    after = (await idle.until("/api/pnl/current", lambda a: not a["data"]["degraded"]))["data"]
    assert (after["netPnL"], after["components"]) == (figures["netPnL"], figures["components"])


async def test_a_fact_that_changed_is_brought_up_to_date(ledger, tmp_path):
    file = node_files.database(tmp_path / "old.db", deals=node_files.DEALS)
    await run(tmp_path, file)
    with closing(sqlite3.connect(file)) as older, older:
        older.execute("UPDATE john_revenue SET revenue = 120, status = 'recognized' WHERE id = 'd-2'")
    output = await run(tmp_path, file)
    assert "john_revenue: 0 taken, 1 held already, 1 brought up to date, 0 not taken" in output
    assert ledger("SELECT revenue, status FROM john_revenue WHERE id = 'd-2'") == [(120.0, "recognized")]


async def test_rows_that_cannot_be_taken_are_counted_with_the_reason(ledger, tmp_path):
    good = node_files.sums(node_files.snapshots(START, 1)[0])
    soon = good | {"timestamp": int(time.time() * 1000) + 86_400_000}
    rows = [
        good,
        good | {"timestamp": 1_700_000_000},
        good | {"timestamp": "yesterday"},
        good | {"netP&L": 5},
        good | {"totalCosts": None},
        good | {"totalCosts": "much"},
        {"timestamp": START},
        7,
        node_files.whole(node_files.snapshots(START, 1)[0]) | {"simulated": True},
        soon,
        good | {"totalRevenue": 1e300},
    ]
    output = await run(tmp_path, node_files.export(tmp_path / "history.json", rows))
    assert "rows: 1 taken, 0 held already, 10 not taken" in output
    for words in (
        "1 not taken: timestamp is not in ms since the epoch",
        "1 not taken: timestamp is not a time",
        "1 not taken: net P&L is not Kalshi plus revenue less costs",
        "2 not taken: totalCosts is no number",
        "1 not taken: no kalshi_pnl",
        "1 not taken: no object",
        "1 not taken: of a demo",
        "1 not taken: not before now, 20",
        "1 not taken: totalRevenue is no number",
    ):
        assert words in output, output
    assert ledger("SELECT count(*) FROM snapshots") == [(1,)]


async def test_an_import_that_was_killed_goes_on_where_it_was(ledger, tmp_path):
    file = node_files.database(tmp_path / "old.db", node_files.snapshots(START, 40_000))
    arguments = str(ROOT / "server.py"), "import", file.name
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=tmp_path, env=LIVE)

    def begun():
        with suppress(sqlite3.Error):
            return ledger("SELECT count(*) FROM snapshots") > [(0,)]
        return False

    await until(begun)
    process.kill()
    await process.wait()
    ((taken,),) = ledger("SELECT count(*) FROM snapshots")
    assert 0 < taken < 40_000
    assert f"pnl_snapshots: {40_000 - taken:,} taken, {taken:,} held already, 0 not taken" in await run(tmp_path, file)
    path = tmp_path / "data" / "pnl.db"
    assert kept(path) == recomputed(path)


MEASURED = """
import pathlib, sys
from pnl_backend.commands.cli import main
main(["import", sys.argv[1]])
print("peak", pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


async def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for count in (3_000, 30_000):
        rows = [node_files.whole(row) for row in node_files.snapshots(START, count)]
        for file in (
            node_files.export(tmp_path / f"{count}.json", node_files.envelope(rows)),
            node_files.database(tmp_path / f"{count}.db", node_files.snapshots(START, count)),
        ):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", MEASURED, file.name),
                cwd=tmp_path,
                env={"PYTHONPATH": str(ROOT), "DB_PATH": f"{file.stem}-{file.suffix[1:]}-ledger.db", **LIVE},
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await process.communicate()
            peaks.append(int(output.split(b"peak ")[1]))
    small, large = peaks[:2], peaks[2:]
    for before, after in zip(small, large, strict=True):
        assert after - before < 6_000, f"{before} KB of 3,000 rows, {after} KB of 30,000, which are 10 MB of JSON"


async def test_another_business_time_zone_gathers_imported_days_again(idle, ledger, tmp_path):
    rows = node_files.snapshots(START, 3000, step=60_000)
    await run(tmp_path, node_files.database(tmp_path / "old.db", rows))
    utc = ledger("SELECT start, open, close, count FROM rollups WHERE span = 86400000 AND first_seq < 0")
    idle.env |= {"BUSINESS_TIMEZONE": "America/New_York"}
    await idle.start()
    await idle.until("/api/pnl/current", lambda a: a["data"]["seq"] > 3)
    assert await idle.stop() == 0
    days = ledger("SELECT start, open, close, count FROM rollups WHERE span = 86400000 AND first_seq < 0")
    assert sum(day[3] for day in days) == sum(day[3] for day in utc) == 3000
    assert [start % 86_400_000 for start, *_ in days] == [5 * 3_600_000] * len(days)


def damaged(file):
    node_files.database(file, node_files.snapshots(START, 2000))
    file.write_bytes(file.read_bytes()[:20_000])


def newer(file):
    node_files.database(file)
    content = bytearray(file.read_bytes())
    content[18:20] = b"\x03\x03"
    file.write_bytes(content)


def foreign(file):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE theirs (a)")


def cut(file):
    text = json.dumps(node_files.envelope([node_files.sums(row) for row in node_files.snapshots(START, 3000)]))
    file.write_text(text[: len(text) // 2])


BAD = {
    "missing": (lambda _: None, "no such file"),
    "directory": (lambda file: file.mkdir(), "is a directory"),
    "empty": (lambda file: file.touch(), "is empty"),
    "blank": (lambda file: file.write_text(" \n\n"), "is empty"),
    "picture": (lambda file: file.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00=1\n"), "is neither a .env, nor an SQLite"),
    "prose": (lambda file: file.write_text("Dear all,\nhello\n"), "is neither a .env, nor an SQLite"),
    "damaged": (damaged, "is damaged"),
    "header": (lambda file: file.write_bytes(b"SQLite format 3\x00"), "is damaged"),
    "newer": (newer, "newer version of SQLite"),
    "foreign": (foreign, "but not the Node server's: it holds theirs"),
    "cut": (cut, "is damaged: a value is cut off"),
    "ends early": (lambda file: file.write_text('{"data": [{}'), "is damaged: it ends too early"),
    "goes on": (lambda file: file.write_text("[] []"), "is damaged: there is text after its end"),
    "other json": (lambda file: file.write_text('{"success": false, "error": {}}'), "there is no list of rows"),
    "empty json": (lambda file: file.write_text("{}"), "there is no list of rows"),
    "deep json": (lambda file: file.write_text("[" * 100_000), "is damaged"),
    "latin": (lambda file: file.write_bytes(b'[{"a": "\xff"}]'), "not UTF-8"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_file_that_cannot_be_taken_is_one_line_and_makes_no_ledger(tmp_path, kind):
    make, words = BAD[kind]
    file = tmp_path / "a file"
    make(file)
    output = await run(tmp_path, file, code=1)
    (line,) = output.strip().splitlines()
    assert words in line.lower() or words in line
    assert "a file" in line
    assert not (tmp_path / "data").exists()


async def test_a_ledger_is_restored_and_not_imported(idle, tmp_path):
    await idle.start()
    assert await idle.stop() == 0
    ledger = tmp_path / "data" / "pnl.db"
    code, output = await command(tmp_path, "import", str(ledger), **LIVE)
    assert code == 1
    assert "is a ledger of this server: put it in place with pnl-backend restore" in output
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 99")
    code, output = await command(tmp_path, "import", str(ledger), **LIVE)
    assert code == 1
    assert "newer version of this server" in output
    code, output = await command(tmp_path, "import", str(node_files.database(tmp_path / "o.db")), **LIVE)
    assert code == 1
    assert "update the server" in output
