"""Queries that were written for the Node server's tables, run on a running ledger and compared with REST."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from tests.support.older_documents import printed_queries

COLUMNS = {
    "pnl_snapshots": "timestamp kalshi_pnl total_costs total_revenue net_pnl trade_count created_at",
    "pnl_deltas": "timestamp net_pnl_delta kalshi_delta costs_delta revenue_delta created_at",
    "pnl_aggregates": "bucket_timestamp period kalshi_pnl costs revenue net_pnl trade_count created_at",
    "kalshi_trades": "id symbol side quantity entry_price current_price status realized_pnl timestamp created_at",
    "anthropic_costs": "id month total_cost tokens_used timestamp created_at",
    "john_revenue": "id deal_name closed_date revenue status timestamp created_at",
}

OURS = [
    "SELECT * FROM pnl_snapshots ORDER BY timestamp DESC LIMIT 1",
    "SELECT * FROM pnl_snapshots desc LIMIT 1",
    "SELECT * FROM pnl_deltas WHERE timestamp > 0 ORDER BY timestamp DESC LIMIT 5",
    "SELECT * FROM pnl_aggregates WHERE period = '1m' ORDER BY bucket_timestamp DESC LIMIT 60",
    "SELECT * FROM kalshi_trades WHERE status = 'open' ORDER BY timestamp DESC",
    "SELECT sum(total_cost) FROM anthropic_costs",
    "SELECT * FROM john_revenue WHERE status = 'recognized' ORDER BY closed_date DESC",
]


@pytest.fixture
def query(server, tmp_path):
    """Rows of a query on the ledger's file, by column."""

    def run(sql: str) -> list[dict[str, object]]:
        with closing(sqlite3.connect(f"file:{tmp_path / 'data' / 'pnl.db'}?mode=ro", uri=True)) as reader:
            reader.row_factory = sqlite3.Row
            return [dict(row) for row in reader.execute(sql)]

    return run


async def test_every_printed_query_has_rows(server, query):
    await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > 5)
    for sql in (*OURS, *printed_queries()):
        rows = query(sql)
        assert rows, sql
        (columns,) = [names for table, names in COLUMNS.items() if table in sql]
        assert "*" not in sql or list(rows[0]) == columns.split(), sql


async def test_snapshots_are_those_of_the_api(server, query):
    current = (await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > 5))["data"]
    (row,) = query(f"SELECT * FROM pnl_snapshots WHERE timestamp = {current['calculatedAt']}")
    assert row["net_pnl"] == current["netPnL"]
    assert row["total_costs"] == current["totalExpenses"]
    assert row["kalshi_pnl"] == current["components"]["kalshi"]["pnl"]
    assert row["total_revenue"] == current["components"]["johns"]["collected"]
    ledger = await server.get("/api/pnl/current")
    assert row["trade_count"] == ledger["components"]["openTradeCount"] + ledger["components"]["closedTradeCount"]
    made = datetime.fromtimestamp(current["calculatedAt"] // 1000, UTC)
    assert row["created_at"] == f"{made:%Y-%m-%d %H:%M:%S}"


async def test_aggregates_and_deltas_are_those_of_the_api(server, query, simulator):
    for _ in range(5):
        seq = (await server.get("/api/pnl/current"))["data"]["seq"]
        simulator.step()
        await server.until("/api/pnl/current", lambda a, seq=seq: a["data"]["seq"] > seq + 2)
    assert await server.stop() == 0
    rows = query("SELECT * FROM pnl_snapshots ORDER BY timestamp")
    deltas = query("SELECT * FROM pnl_deltas ORDER BY timestamp")
    assert [row["timestamp"] for row in deltas] == [row["timestamp"] for row in rows[1:]]
    for delta, before, after in zip(deltas, rows, rows[1:], strict=False):
        for name, column in (("net_pnl_delta", "net_pnl"), ("costs_delta", "total_costs")):
            assert delta[name] == pytest.approx(after[column] - before[column], abs=1e-9)
    assert any(delta["net_pnl_delta"] for delta in deltas)
    await server.start()
    told = (await server.get("/api/pnl/history?resolution=1m&from=0"))["data"]["data"]
    held = query("SELECT * FROM pnl_aggregates WHERE period = '1m' ORDER BY bucket_timestamp")
    for row, minute in list(zip(held, told, strict=False))[:-1]:
        assert (row["bucket_timestamp"], row["net_pnl"]) == (minute["timestamp"], minute["netPnL"])
        assert (row["kalshi_pnl"], row["costs"], row["revenue"]) == (
            minute["kalshiPnL"],
            minute["costs"],
            minute["revenue"],
        )
    assert {row["period"] for row in query("SELECT DISTINCT period FROM pnl_aggregates")} >= {"1m", "5m", "1h", "1d"}


async def test_trades_costs_and_deals_add_up_to_the_figures(server, query):
    def whole(answer):
        data = answer["data"]
        return data["seq"] > 5 and not data["degraded"] and data["components"]["anthropic"]["totalSpend"] > 0

    current = (await server.until("/api/pnl/current", whole))["data"]
    kalshi = current["components"]["kalshi"]
    (trades,) = query("SELECT sum(realized_pnl) AS realized, count(*) FILTER (WHERE status = 'open') AS open"
                      " FROM kalshi_trades")  # fmt: skip
    assert round(trades["realized"], 2) == pytest.approx(kalshi["realizedPnl"], abs=0.011)
    assert trades["open"] == kalshi["positions"]
    for trade in query("SELECT * FROM kalshi_trades WHERE status = 'open'"):
        assert trade["side"] in ("buy", "sell")
        assert 0 <= trade["entry_price"] <= 1
    (costs,) = query("SELECT sum(total_cost) AS spent FROM anthropic_costs")
    assert costs["spent"] == pytest.approx(current["components"]["anthropic"]["totalSpend"], abs=0.011)
    (deals,) = query("SELECT sum(revenue) AS collected FROM john_revenue WHERE status = 'recognized'")
    assert deals["collected"] == pytest.approx(current["components"]["johns"]["collected"], abs=0.011)
