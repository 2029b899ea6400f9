"""The contract's REST routes over a real port: shapes, parameters, refusals."""

import csv
import io
import re

import aiohttp
import orjson
import pytest

from pnl_backend.errors import StoreError
from tests.http.support import ADMIN, ADMIN_KEY, NOW, READ, STEP, House, exchange

ISO = "2026-02-25T22:24:00.000Z"
RESET = "/api/circuit-breaker/reset"


LIVE = {"status": "live", "tier": "live", "asOf": ISO, "ageMs": 0, "error": None, "estimated": False, "notes": []}
SOURCES = {
    "kalshi": LIVE,
    "anthropic": {
        **LIVE,
        "status": "stale",
        "tier": "redis",
        "asOf": "2026-02-25T22:23:20.000Z",
        "ageMs": 40_000,
        "error": "the source timed out",
    },
    "johns": LIVE,
}
ANTHROPIC = {"dailySpend": 5.25, "totalSpend": 105.25}
JOHNS = {"invoiced": 2000.0, "collected": 1000.0, "pipeline": 50.0}


def kalshi(seq):
    """Realized 500 and a dollar for each snapshot; ten contracts marked at 0.50 that cost 4.00."""
    return {
        "balance": 10_000.0, "positions": 1, "pnl": 501.0 + seq, "realizedPnl": 500.0 + seq, "unrealizedPnl": 1.0,
        "fees": 20.25, "marks": {"bid": 1},
    }  # fmt: skip


def net(seq):
    """Kalshi 501 + seq, collected 1000, less fees 20.25 and spend 105.25."""
    return 1375.5 + seq


def newest(seq, gross_margin):
    """The snapshot with number `seq`, taken at NOW."""
    return {
        "totalRevenue": 1501.0 + seq, "totalExpenses": 125.5, "netPnL": net(seq), "grossMargin": gross_margin,
        "dailyTrend": 0.0, "components": {"kalshi": kalshi(seq), "anthropic": ANTHROPIC, "johns": JOHNS},
        "timestamp": ISO, "calculatedAt": NOW, "epoch": "k3v9", "seq": seq, "degraded": [], "sources": SOURCES,
        "simulated": False, "stored": True, "exact": {"netPnL": f"{net(seq):.2f}"},
        "estimated": False, "complete": True,
    }  # fmt: skip


async def test_current_is_the_newest_snapshot_in_the_success_form(serve):
    http = await serve()
    async with http.get("/api/pnl/current", headers=READ) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        body = await answer.json()
    envelope = {name: body.pop(name) for name in ("success", "data", "timestamp")}
    assert envelope == {"success": True, "data": newest(20, 91.75), "timestamp": ISO}
    assert body.keys() == {
        "netPnL", "kalshiPnL", "totalCosts", "totalRevenue", "breakdown", "components", "metadata",
        "degraded", "estimated", "complete",
    }  # fmt: skip
    assert body["breakdown"] == {"trades": 521.0, "costs": -125.5, "revenue": 1000.0}
    assert (body["netPnL"], body["kalshiPnL"], body["totalCosts"], body["totalRevenue"]) == (1395.5, 521, 125.5, 1000)
    assert body["components"]["recentDeals"] == len(body["components"]["deals"]) == 1


async def test_current_for_the_whole_time_is_current(serve):
    http = await serve()
    async with http.get("/api/pnl/current", params={"period": "all"}, headers=READ) as answer:
        assert (await answer.json())["data"] == newest(20, 91.75)


@pytest.mark.parametrize("period", ["mtd", "today"])
async def test_current_for_a_period_is_the_difference_to_its_first_snapshot(serve, period):
    """From the first snapshot to the twentieth, Kalshi has realized 19 dollars and nothing else has changed."""
    http = await serve()
    async with http.get("/api/pnl/current", params={"period": period}, headers=READ) as answer:
        data = (await answer.json())["data"]
    assert data == {
        **newest(20, 100.0),
        "totalRevenue": 19.0,
        "totalExpenses": 0.0,
        "netPnL": 19.0,
        "components": {
            "kalshi": {**kalshi(20), "pnl": 19.0, "realizedPnl": 19.0, "unrealizedPnl": 0.0, "fees": 0.0},
            "anthropic": {"dailySpend": 5.25, "totalSpend": 0.0},
            "johns": {"invoiced": 0.0, "collected": 0.0, "pipeline": 50.0},
        },
        "exact": {"netPnL": "19.00"},
        "period": period,
    }


async def test_breakdown(serve):
    http = await serve()
    async with http.get("/api/pnl/breakdown", headers=READ) as answer:
        data = (await answer.json())["data"]
    assert data == {
        "kalshi": kalshi(20),
        "anthropic": ANTHROPIC,
        "johns": JOHNS,
        "summary": {"totalRevenue": 1521.0, "totalExpenses": 125.5, "netPnL": 1395.5, "grossMargin": 91.75},
        "costBreakdown": [
            {"name": "Trading Fees", "value": 20.25, "percentage": 16.1},
            {"name": "Claude Opus", "value": 100.0, "percentage": 79.7},
            {"name": "Claude Sonnet", "value": 5.25, "percentage": 4.2},
        ],
        "agentAttribution": [
            {"agent": "Scalper", "revenue": 521.0, "expenses": 20.25, "net": 500.75},
            {"agent": "John", "revenue": 1000.0, "expenses": 0.0, "net": 1000.0},
            {"agent": "Cliff", "revenue": 0.0, "expenses": 105.25, "net": -105.25},
        ],
        "timestamp": ISO,
        "epoch": "k3v9",
        "seq": 20,
        "degraded": [],
        "estimated": False,
        "complete": True,
    }


@pytest.mark.parametrize("path", ["/api/pnl/current", "/api/pnl/breakdown", "/api/pnl/current?period=today"])
async def test_before_the_first_snapshot_the_answer_is_503_with_a_retry(serve, path):
    house = House(records=0)
    http = await serve(house)
    async with http.get(path, headers=READ) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert (await answer.json())["error"]["code"] == "not_ready"


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


async def test_breaker_status_and_reset(serve):
    house = House()
    http = await serve(house)
    async with http.get("/api/circuit-breaker/status", headers=READ) as answer:
        data = (await answer.json())["data"]
        assert data["timestamp"] == ISO
        assert data["services"]["kalshi"]["state"] == "OPEN"
        assert data["config"] == {"failureThreshold": 5, "resetTimeout": 60_000}
    async with http.post(RESET, json={"service": "kalshi"}, headers=ADMIN) as answer:
        assert answer.status == 200
        assert (await answer.json())["data"] == {"reset": ["kalshi"]}
    assert house.breakers.state == {"kalshi": "CLOSED", "anthropic": "CLOSED", "johns_revenue": "OPEN"}
    async with http.post(RESET, json={}, headers=ADMIN) as answer:
        assert (await answer.json())["data"]["reset"] == ["kalshi", "anthropic", "johns_revenue"]
    async with http.post(RESET, headers=ADMIN) as answer:
        assert answer.status == 200
    async with http.post(RESET, json={"service": "nobody"}, headers=ADMIN) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"kalshi"', b"null", b'{"service": 1}', b'{"service": null}', b'{"service": ""}', b"\xff\xfe"],
)
async def test_reset_refuses_a_bad_body(serve, body):
    house = House()
    http = await serve(house)
    async with http.post(RESET, data=body, headers=ADMIN) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "bad_request"
        assert house.breakers.state["kalshi"] == "OPEN"


async def test_a_body_that_is_too_large_is_413_whether_announced_or_not(serve):
    async def endless():
        for _ in range(64):
            yield b" " * 1024

    http = await serve()
    for data in (b" " * 20_000, endless()):
        async with http.post(RESET, data=data, headers=ADMIN) as answer:
            assert answer.status == 413
            assert (await answer.json())["error"]["code"] == "payload_too_large"


async def test_a_body_that_does_not_arrive_is_408(serve):
    head = f"POST {RESET} HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\nContent-Length: 10\r\n\r\n{{"
    http = await serve(body_timeout=0.05)
    answer = await exchange(http.port, head.encode(), until=b'Z"}')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


async def test_cache_stats_and_clear(serve):
    house = House()
    http = await serve(house)
    async with http.get("/api/cache/stats", headers=READ) as answer:
        data = (await answer.json())["data"]
        assert data["hitRate"] == "80.00%"
        assert data["timestamp"] == ISO
    async with http.post("/api/cache/clear", headers=ADMIN) as answer:
        assert (await answer.json()) == {"success": True, "data": {"cleared": True}, "timestamp": ISO}
    assert house.cache.entries == 0


async def test_metrics(serve):
    http = await serve()
    async with http.get("/metrics", headers=READ) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=1.0.0; charset=utf-8"
        assert await answer.text() == "pnl_ticks_total 1\n"


async def test_health_needs_no_key_and_is_correct(serve):
    house = House()
    http = await serve(house)
    async with http.get("/health") as answer:
        assert answer.status == 200
        body = await answer.json()
        assert body["status"] == "healthy"
        assert body["services"]["cache"]["redis"] == "disabled"
    house.health.healthy = False
    async with http.get("/health") as answer:
        assert answer.status == 503
        assert (await answer.json())["status"] == "unhealthy"
    async with http.get("/api/health") as answer:
        assert (await answer.json())["cacheStats"]["hitRate"] == "80.00%"
    async with http.get("/health/live") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "live"})


@pytest.mark.parametrize(("state", "status"), [("ready", 200), ("starting", 503), ("draining", 503)])
async def test_readiness(serve, state, status):
    house = House()
    house.health.state = state
    http = await serve(house)
    async with http.get("/health/ready") as answer:
        assert (answer.status, await answer.json()) == (status, {"status": state})


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/api/pnl", "/api/pnl/current/", "/API/PNL/CURRENT"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_anything_else_is_404_in_the_failure_form(serve, method, path):
    http = await serve()
    async with http.request(method, path, headers=READ) as answer:
        assert answer.status == 404
        body = await answer.json()
    assert body["success"] is False
    assert body["timestamp"] == ISO
    assert body["error"]["code"] == "not_found"
    assert re.fullmatch(r"[0-9a-f]{16}", body["error"]["id"])
    assert "stack" not in body["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/pnl/current", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("GET", RESET, {"POST", "OPTIONS"}),
        ("PUT", "/api/cache/clear", {"POST", "OPTIONS"}),
        ("OPTIONS", "/api/pnl/current", {"GET", "HEAD"}),
    ],
)
async def test_a_wrong_method_is_405_with_the_allowed_ones(serve, method, path, allowed):
    http = await serve()
    async with http.request(method, path, headers=READ) as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) == allowed
        assert (await answer.json())["error"]["code"] == "method_not_allowed"


async def test_head_answers_as_get_without_a_body(serve):
    http = await serve()
    async with http.get("/api/pnl/current", headers=READ) as answer:
        length = len(await answer.read())
    async with http.head("/api/pnl/current", headers=READ) as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) == length


async def test_bodies_are_json_that_a_strict_parser_takes(serve):
    http = await serve()
    for path in ("/api/pnl/current", "/api/pnl/breakdown", "/api/pnl/history", "/nothing"):
        async with http.get(path, headers=READ) as answer:
            orjson.loads(await answer.read())
