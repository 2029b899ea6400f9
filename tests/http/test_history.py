"""The history over a real port: its two forms, its parameters, its exports."""

import csv
import io

import aiohttp
import pytest

from pnl_backend.errors import StoreError
from tests.http.shapes import ISO, net, newest
from tests.http.support import NOW, READ, STEP, House


@pytest.mark.parametrize(("query", "count"), [("", 100), ("?limit=1", 1), ("?limit=7", 7), ("?limit=1000", 120)])
async def test_history_by_limit_is_the_newest_oldest_first(serve, query, count):
    house = House(records=120)
    http = await serve(house)
    async with http.get(f"/api/pnl/history{query}", headers=READ) as answer:
        body = await answer.json()
    data = body["data"]
    assert (data.keys(), data["count"], data["timestamp"]) == (
        {"count", "data", "timestamp", "restatements"}, count, ISO,
    )  # fmt: skip
    numbers = range(121 - count, 121)
    assert [(row["seq"], row["calculatedAt"], row["netPnL"]) for row in data["data"]] == [
        (seq, NOW - (120 - seq) * STEP, net(seq)) for seq in numbers
    ]
    assert data["data"][-1] == newest(120, 92.26)
    assert all(row.keys() == data["data"][-1].keys() for row in data["data"])


async def test_history_of_an_empty_ledger(serve):
    http = await serve(House(records=0))
    async with http.get("/api/pnl/history", headers=READ) as answer:
        assert (await answer.json())["data"] == {"count": 0, "data": [], "timestamp": ISO, "restatements": []}


async def test_history_by_range_defaults_to_the_last_hour_in_minutes(serve):
    house = House(records=1000)  # 83 minutes
    http = await serve(house)
    async with http.get("/api/pnl/history?resolution=1m", headers=READ) as answer:
        data = (await answer.json())["data"]
    rows = data["data"]
    assert data["count"] == len(rows) == 61
    assert rows[0]["timestamp"] == NOW - 3_600_000
    assert rows[-1]["timestamp"] == NOW
    assert rows[0]["count"] == 60_000 // STEP
    assert set(rows[0]) == {
        "timestamp", "netPnL", "kalshiPnL", "costs", "revenue", "open", "high", "low", "close", "count",
        "degraded", "estimated", "complete",
    }  # fmt: skip
    assert rows[0]["high"] - rows[0]["low"] == pytest.approx(11)


async def test_history_by_range_with_bounds_and_limit(serve):
    http = await serve(House(records=50))
    bounds = {"from": NOW - 20 * STEP, "to": NOW - 10 * STEP, "resolution": "raw"}
    async with http.get("/api/pnl/history", params=bounds, headers=READ) as answer:
        rows = (await answer.json())["data"]["data"]
        assert [row["timestamp"] for row in rows] == [NOW - i * STEP for i in range(20, 9, -1)]
    async with http.get("/api/pnl/history", params={**bounds, "limit": 2}, headers=READ) as answer:
        rows = (await answer.json())["data"]["data"]
        assert [row["timestamp"] for row in rows] == [NOW - 11 * STEP, NOW - 10 * STEP]
    async with http.get("/api/pnl/history", params={"to": NOW - 45 * STEP}, headers=READ) as answer:
        assert sum(row["count"] for row in (await answer.json())["data"]["data"]) == 5


@pytest.mark.parametrize(
    ("limit", "count", "limited"),
    [
        ("1", 1, False), ("007", 7, False), ("999", 999, False), ("1000", 1000, False), ("0001000", 1000, False),
        ("1001", 1000, True), ("5000", 1000, True), ("9" * 5000, 1000, True),
    ],
)  # fmt: skip
async def test_a_limit_above_a_thousand_is_reduced_and_marked(serve, limit, count, limited):
    house = House(records=1200)
    http = await serve(house)
    for bounds in ({}, {"from": "0", "resolution": "raw"}):
        async with http.get("/api/pnl/history", params={**bounds, "limit": limit}, headers=READ) as answer:
            assert answer.status == 200
            data = (await answer.json())["data"]
        assert data["count"] == len(data["data"]) == count
        assert data.get("limited", False) is limited
        newest = data["data"][-1]
        assert newest.get("calculatedAt", newest["timestamp"]) == NOW


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/pnl/current?period=week", "period"),
        ("/api/pnl/current?period=", "period"),
        ("/api/pnl/current?period=all&period=mtd", "period"),
        ("/api/pnl/history?limit=0", "limit"),
        ("/api/pnl/history?limit=000", "limit"),
        ("/api/pnl/history?limit=-5000", "limit"),
        ("/api/pnl/history?limit=%2B5", "limit"),
        ("/api/pnl/history?limit=5%20", "limit"),
        ("/api/pnl/history?limit=1e3", "limit"),
        ("/api/pnl/history?limit=-5", "limit"),
        ("/api/pnl/history?limit=ten", "limit"),
        ("/api/pnl/history?limit=1.5", "limit"),
        ("/api/pnl/history?limit=%C2%B2", "limit"),
        ("/api/pnl/history?limit=1_0", "limit"),
        ("/api/pnl/history?limit=", "limit"),
        ("/api/pnl/history?limit=5&limit=6", "limit"),
        ("/api/pnl/history?from=yesterday", "from"),
        ("/api/pnl/history?from=-1", "from"),
        ("/api/pnl/history?to=NaN", "to"),
        ("/api/pnl/history?to=9999999999999999", "to"),
        ("/api/pnl/history?from=2000&to=1000", "from"),
        (f"/api/pnl/history?from={NOW + 1}", "from"),
        ("/api/pnl/history?resolution=2m", "resolution"),
        ("/api/pnl/export?format=xml", "format"),
        ("/api/pnl/export?resolution=10s", "resolution"),
        ("/api/pnl/export?from=x", "from"),
    ],
)
async def test_a_bad_parameter_is_400_and_named(serve, path, name):
    http = await serve()
    async with http.get(path, headers=READ) as answer:
        body = await answer.json()
    assert answer.status == 400
    assert body["error"]["code"] == "bad_request"
    assert body["error"]["message"].startswith(f"{name} ")


async def test_unknown_parameters_are_ignored(serve):
    http = await serve()
    async with http.get("/api/pnl/current?cachebuster=1&period=all", headers=READ) as answer:
        assert answer.status == 200


async def test_a_ledger_that_cannot_be_read_is_503(serve):
    house = House()
    house.ledger.fails = StoreError("disk I/O error")
    http = await serve(house)
    for path in ("/api/pnl/history", "/api/pnl/history?resolution=1m", "/api/pnl/export"):
        async with http.get(path, headers=READ) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "5"
            assert (await answer.json())["error"]["code"] == "store_error"


async def test_export_as_csv_is_a_download_of_every_row(serve):
    house = House(records=100)
    query = {"resolution": "raw", "from": NOW - 99 * STEP, "to": NOW}
    http = await serve(house)
    async with http.get("/api/pnl/export", params=query, headers=READ) as answer:
        text = await answer.text()
    assert answer.content_type == "text/csv"
    name = f"pnl-raw-{NOW - 99 * STEP}-{NOW}.csv"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["timestamp"]) for row in rows] == [record.at for record in house.ledger.records]
    assert [row["netPnL"] for row in rows] == [f"{record.net_cents / 100:.2f}" for record in house.ledger.records]
    assert list(rows[0]) == [
        "timestamp", "netPnL", "kalshiPnL", "costs", "revenue", "open", "high", "low", "close", "count",
        "degraded", "estimated", "complete", "restated",
    ]  # fmt: skip
    assert {tuple(row.values())[-4:] for row in rows} == {("", "false", "true", "false")}


async def test_export_as_json_is_a_list_of_every_row(serve):
    house = House(records=100)
    query = {"resolution": "raw", "from": NOW - 99 * STEP, "format": "json"}
    http = await serve(house)
    async with http.get("/api/pnl/export", params=query, headers=READ) as answer:
        rows = await answer.json()
    assert [row["timestamp"] for row in rows] == [record.at for record in house.ledger.records]


async def test_export_of_nothing(serve):
    http = await serve(House(records=0))
    async with http.get("/api/pnl/export", headers=READ) as answer:
        assert (await answer.text()).startswith("timestamp,netPnL,")
    async with http.get("/api/pnl/export?format=json", headers=READ) as answer:
        assert await answer.json() == []


async def test_head_of_an_export_has_headers_and_no_body(serve):
    http = await serve()
    async with http.head("/api/pnl/export", headers=READ) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/csv"
        assert await answer.read() == b""


async def test_an_export_that_breaks_midway_is_cut_off_and_never_looks_complete(serve):
    house = House(records=100)
    house.ledger.breaks_after = 3
    http = await serve(house)
    query = {"resolution": "raw", "from": NOW - 99 * STEP}
    async with http.get("/api/pnl/export", params=query, headers=READ) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    async with http.get("/api/pnl/current", headers=READ) as answer:
        assert answer.status == 200
