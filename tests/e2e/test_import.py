"""`pnl-backend import` of what the Node server stored: taken once, marked, and part of nothing that is live."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from tests.e2e.importing import LIVE, START, cents, contents, run
from tests.support import node_files
from tests.support.clients import listening
from tests.support.server import command


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
