"""An import into a ledger, and what is in that ledger then."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.support.server import FAST, ServerProcess, command, upstream_env

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
