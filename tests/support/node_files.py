"""Files as the Node server left them: its SQLite tables as the older documents describe them, and its JSON exports."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE kalshi_trades (
  id TEXT PRIMARY KEY, symbol TEXT NOT NULL, side TEXT, quantity INTEGER, entry_price REAL, current_price REAL,
  status TEXT, realized_pnl REAL DEFAULT 0, timestamp INTEGER, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE anthropic_costs (
  id TEXT PRIMARY KEY, month TEXT, total_cost REAL, tokens_used INTEGER, timestamp INTEGER,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE john_revenue (
  id TEXT PRIMARY KEY, deal_name TEXT, closed_date TEXT, revenue REAL, status TEXT, timestamp INTEGER,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE pnl_snapshots (
  timestamp INTEGER PRIMARY KEY, kalshi_pnl REAL, total_costs REAL, total_revenue REAL, net_pnl REAL,
  trade_count INTEGER, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE pnl_deltas (
  timestamp INTEGER PRIMARY KEY, net_pnl_delta REAL, kalshi_delta REAL, costs_delta REAL, revenue_delta REAL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_pnl_snapshot_time ON pnl_snapshots(timestamp DESC);
"""

TABLES = ("kalshi_trades", "anthropic_costs", "john_revenue", "pnl_snapshots", "pnl_deltas")

TRADES = [
    ("t-1", "KXOLD-1", "buy", 10, 0.42, 0.55, "open", 0.0, 1_700_000_000_000),
    ("t-2", "KXOLD-2", "sell", 5, 0.6, 0.6, "closed", 12.345, 1_700_000_060_000),
]
COSTS = [("c-1", "2023-11", 12.34, 1000, 1_700_000_000_000), ("c-2", "2023-12", 0.1, None, None)]
DEALS = [
    ("d-1", "Harbour", "2023-11-20", 1500.5, "recognized", 1_700_000_000_000),
    ("d-2", "Mill", None, 99, "pipeline", None),
]


def snapshots(start: int, count: int, step: int = 5000) -> list[tuple[Any, ...]]:
    """Rows of `pnl_snapshots` whose net moves from one to the next."""
    rows = []
    for n in range(count):
        kalshi, costs, revenue = round(100 + n * 0.37, 2), round(5.25 + n * 0.01, 2), 1000.1
        rows.append((start + n * step, kalshi, costs, revenue, kalshi + revenue - costs, 7))
    return rows


def database(
    file: Path,
    rows: Iterable[Sequence[Any]] = (),
    *,
    trades: Iterable[Sequence[Any]] = (),
    costs: Iterable[Sequence[Any]] = (),
    deals: Iterable[Sequence[Any]] = (),
) -> Path:
    """The Node server's database; rows without `created_at`."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        for table, held in (("pnl_snapshots", rows), ("kalshi_trades", trades), ("anthropic_costs", costs),
                            ("john_revenue", deals)):  # fmt: skip
            for row in held:
                columns = [c[1] for c in connection.execute(f"PRAGMA table_info({table})")][: len(row)]
                places = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", row)
        connection.execute("COMMIT")
    return file


def whole(row: Sequence[Any]) -> dict[str, Any]:
    """A row of `pnl_snapshots` as the Node server's newest API showed a snapshot."""
    from pnl_backend.domain.times import iso

    at, kalshi, costs, revenue, net, _ = row
    return {
        "totalRevenue": round(kalshi + revenue, 2),
        "totalExpenses": costs,
        "netPnL": round(net, 2),
        "grossMargin": 91.63,
        "dailyTrend": 5.25,
        "components": {
            "kalshi": {"balance": 10000, "positions": 3, "pnl": kalshi},
            "anthropic": {"dailySpend": costs},
            "johns": {"invoiced": 2000, "collected": revenue},
        },
        "timestamp": iso(at),
    }


def sums(row: Sequence[Any]) -> dict[str, Any]:
    """The same as the guide's server showed it."""
    at, kalshi, costs, revenue, net, _ = row
    return {"timestamp": at, "kalshiP&L": kalshi, "totalCosts": costs, "totalRevenue": revenue, "netP&L": net}


def stored(row: Sequence[Any]) -> dict[str, Any]:
    """The same as a row of the table."""
    names = ("timestamp", "kalshi_pnl", "total_costs", "total_revenue", "net_pnl", "trade_count")
    return dict(zip(names, row, strict=True))


def envelope(rows: Sequence[Any]) -> dict[str, Any]:
    told = "2026-02-25T22:24:00.000Z"
    return {"success": True, "data": {"count": len(rows), "data": rows, "timestamp": told}, "timestamp": told}


def export(file: Path, content: Any) -> Path:
    file.write_text(json.dumps(content))
    return file
