"""Ranges of the ledger over REST: refused by the rows that they hold, at the edge and one beyond."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pnl_backend.domain.times import DAY_MS
from pnl_backend.ledger.sql.history import MOST_ROWS
from tests.support.server import ServerProcess

LONG_AGO = 1_600_000_000_000


@pytest.fixture
async def server(tmp_path):
    kept = {"RETENTION_DAYS": "36500"}  # else the rows of long ago are removed while the test reads them
    process = await ServerProcess(tmp_path, UPDATE_INTERVAL_MS="60000", RATE_LIMIT_PER_MINUTE="0", **kept).start()
    yield process
    await process.close()


def insert(server, first, count):
    """Raw rows one ms apart, straight into the file: appending them all would take its time."""
    (path,) = server.directory.glob("data/pnl-demo.db")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as ledger:
        ledger.execute(
            "WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)"
            " INSERT INTO snapshots SELECT 1000000 + i, ? + i, i, 0, 0, 0, 0 FROM n",
            (first, first + count, LONG_AGO),
        )


@pytest.mark.parametrize("resolution", ["raw", "1m", "5m", "15m", "1h", "4h", "1d", "1w"])
async def test_a_long_range_with_few_rows_is_answered(server, resolution):
    answer = await server.get(f"/api/pnl/history?from=0&resolution={resolution}")
    assert answer["success"], answer
    assert answer["data"]["count"] == 1


async def test_a_range_is_refused_one_row_beyond_what_an_answer_holds(server):
    insert(server, 0, MOST_ROWS)
    whole = f"/api/pnl/history?from={LONG_AGO}&to={LONG_AGO + DAY_MS}&resolution=raw"
    assert (await server.get(whole))["data"]["count"] == MOST_ROWS
    insert(server, MOST_ROWS, 1)
    refused = await server.get(whole)
    assert refused["error"]["code"] == "bad_request"
    assert f"more than {MOST_ROWS} rows" in refused["error"]["message"]
    assert "/api/pnl/export" in refused["error"]["message"]
    assert (await server.get(f"{whole}&limit=5"))["data"]["count"] == 5
