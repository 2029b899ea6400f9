"""What happened on the account, in the ledger's file and in the health report of a running server."""

import re
import sqlite3
from contextlib import closing
from decimal import Decimal

import aiohttp

from pnl_backend.simulator import Fault
from pnl_backend.sources.kalshi.simulator.records import Transfer
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import until


def count(server, table):
    ((rows,),) = server.rows(f"SELECT count(*) FROM {table}")
    return rows


def own(rows):
    return [row for row in rows if row.subaccount == 0]


def all_live(answer):
    return all(source["status"] == "live" for source in answer["data"]["sources"].values())


async def metric(server, name):
    async with aiohttp.ClientSession() as session, session.get(server.url + "/metrics") as answer:
        text = await answer.text()
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


async def test_facts_come_into_the_ledger_once_and_the_account_reconciles(server, simulator):
    account, truth = simulator.trading.account, simulator.truth()
    health = await server.until("/health", lambda h: h["reconciliation"]["state"] == "reconciled")
    assert abs(health["reconciliation"]["gap"]) < 0.01
    assert health["parts"]["reconciliation"]["ok"] is True
    assert abs(await metric(server, "pnl_reconciliation_gap_usd")) < 0.01
    await until(lambda: count(server, "fills") == len(own(account.fills)))
    await until(lambda: count(server, "settlements") == len(own(account.settlements)))
    assert count(server, "transfers") == len(account.transfers)
    fees = sum(Decimal(fee) for (fee,) in server.rows("SELECT fee FROM fills"))
    assert fees == truth.kalshi.fees
    await until(lambda: count(server, "deals") == len(simulator.deals.deals))
    spent = server.rows("SELECT amount FROM costs WHERE day >= ?", server.env["PNL_SINCE"])
    assert sum(Decimal(amount) for (amount,) in spent) == sum(
        amount for day, amount in truth.anthropic.by_day.items() if day.isoformat() >= server.env["PNL_SINCE"]
    )

    assert await server.stop() == 0
    await server.start()
    known = len(account.fills)
    while len(account.fills) < known + 2:
        simulator.step()
    await until(lambda: count(server, "fills") == len(own(account.fills)))
    assert count(server, "transfers") == len(account.transfers)
    simulator.set_deal("d-new", amount=Decimal(700), status="recognized")
    await until(lambda: "cache: deal d-new invalidates current" in server.log)
    newest = re.escape(own(account.fills)[-1].ticker)
    assert re.search(f"cache: fill .*{newest}.* invalidates current", server.log)
    assert "Traceback" not in server.log


async def test_a_gap_shows_in_health_metrics_and_log_and_goes_when_it_is_explained(server, simulator):
    await server.until("/health", lambda h: h["reconciliation"]["state"] == "reconciled")
    account = simulator.trading.account
    account.aged_realized += Decimal("12.50")  # cash that no list of the account explains
    health = await server.until("/health", lambda h: h["reconciliation"]["state"] == "gap")
    assert abs(health["reconciliation"]["gap"] - 12.5) < 0.01
    assert "reconciliation" in health["degraded"]
    assert health["status"] == "healthy"
    assert abs(await metric(server, "pnl_reconciliation_gap_usd") - 12.5) < 0.01
    assert server.log.count("The account does not reconcile") == 1
    account.aged_realized -= Decimal("12.50")
    await server.until("/health", lambda h: h["reconciliation"]["state"] == "reconciled")
    assert server.log.count("The account reconciles again") == 1


async def test_a_deposit_is_no_gap(server, simulator):
    await server.until("/health", lambda h: h["reconciliation"]["state"] == "reconciled")
    account = simulator.trading.account
    account.transfers.append(Transfer(account.next_seq(), "dep-new", "deposit", 12_300, 0, "applied", 1.0, 2.0))
    await until(lambda: count(server, "transfers") == len(account.transfers))
    await server.until("/health", lambda h: abs(h["reconciliation"]["gap"]) < 0.01)
    assert "does not reconcile" not in server.log


async def test_facts_that_cannot_be_fetched_delay_no_tick_and_are_fetched_later(tmp_path, simulator):
    for path in ("/portfolio/fills", "/portfolio/deposits"):
        simulator.set_fault("kalshi", Fault.hang(path=path))
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()))
    await server.start()
    try:
        first = (await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > 5))["data"]
        assert first["sources"]["kalshi"]["status"] == "live"
        await until(lambda: "could not be recorded" in server.log)
        health = await server.get("/health")
        assert health["reconciliation"]["state"] == "unknown"
        later = (await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > first["seq"] + 10))["data"]
        assert later["sources"]["kalshi"]["status"] == "live"
        assert (await server.get("/api/circuit-breaker/status"))["data"]["services"]["kalshi"]["state"] == "CLOSED"
        assert await server.stop() == 0
    finally:
        await server.close()


async def test_a_demo_s_account_begins_anew_and_its_snapshots_stay(tmp_path):
    """The invented account is another one tomorrow: what this one held must not be counted on top of it."""
    server = await ServerProcess(tmp_path, **FAST | {"KALSHI_POLL_MS": "1000"}).start()
    try:
        health = await server.until("/health", lambda h: h["reconciliation"]["state"] == "reconciled")
        assert health["demo"] is True
        last = (await server.until("/api/pnl/current", all_live))["data"]
        assert await server.stop() == 0
        with closing(sqlite3.connect(tmp_path / "data" / "pnl-demo.db")) as connection:
            connection.execute("INSERT INTO positions VALUES ('OLD-MARKET', 0, 1, '5000', '10', '0', '0', 1)")
            connection.execute(
                "INSERT INTO fills VALUES ('old', 'o', 'OLD-MARKET', 'yes', '1', '0.5', '10', 1, 1, 0, 0)"
            )
            connection.execute("INSERT INTO deals VALUES ('old', 1, 'Old', '9000', 'recognized', 1)")
            connection.commit()
        await server.start()
        health = await server.until("/health", lambda h: h["reconciliation"]["differences"].keys() >= {"fees", "costs"})
        assert health["reconciliation"]["state"] == "reconciled"
        assert all(abs(amount) < 1 for amount in health["reconciliation"]["differences"].values())
        now = (await server.until("/api/pnl/current", all_live))["data"]
        assert abs(now["netPnL"] - last["netPnL"]) < 1000
        assert (now["epoch"], now["seq"] > last["seq"]) == (last["epoch"], True)
    finally:
        await server.close()


async def test_what_rest_reads_of_the_ledger_is_timed(server):
    async def timed(query):
        return await metric(server, f'pnl_ledger_query_seconds_count{{query="{query}"}}')

    await server.get("/api/pnl/history?limit=1")
    newest, ranges = await timed("newest"), await timed("range")
    await server.get("/api/pnl/history?limit=5")
    await server.get("/api/pnl/history?resolution=raw&limit=5")
    assert await timed("newest") == newest + 1
    assert await timed("range") > ranges, "the cache may have read the hour that is open meanwhile"
