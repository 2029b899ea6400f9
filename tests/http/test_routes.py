"""The contract's REST routes over a real port: shapes, parameters, refusals."""

import csv
import io
import re

import aiohttp
import orjson
import pytest

from pnl_backend.domain.views import breakdown_view, period_view, snapshot_view
from pnl_backend.errors import StoreError
from tests.http.support import ADMIN, ADMIN_KEY, NOW, READ, STEP, House, exchange, listening, serving

ISO = "2026-02-25T22:24:00.000Z"
RESET = "/api/circuit-breaker/reset"


async def test_current_is_the_newest_snapshot_in_the_success_form():
    house = House()
    async with serving(house) as http, http.get("/api/pnl/current", headers=READ) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        body = await answer.json()
    envelope = {name: body.pop(name) for name in ("success", "data", "timestamp")}
    assert envelope == {"success": True, "data": snapshot_view(house.snapshots[-1]), "timestamp": ISO}
    assert body.keys() == {
        "netPnL", "kalshiPnL", "totalCosts", "totalRevenue", "breakdown", "components", "metadata",
    }  # fmt: skip
    assert body["breakdown"] == {"trades": 521.0, "costs": -125.5, "revenue": 1000.0}
    assert (body["netPnL"], body["kalshiPnL"], body["totalCosts"], body["totalRevenue"]) == (1395.5, 521, 125.5, 1000)
    assert body["components"]["recentDeals"] == len(body["components"]["deals"]) == 1


@pytest.mark.parametrize("period", ["all", "mtd", "today"])
async def test_current_for_a_period(period):
    house = House()
    async with serving(house) as http, http.get("/api/pnl/current", params={"period": period}, headers=READ) as answer:
        data = (await answer.json())["data"]
    newest, first = house.snapshots[-1], house.snapshots[0]
    assert data == (snapshot_view(newest) if period == "all" else period_view(newest, first, period))


async def test_breakdown():
    house = House()
    async with serving(house) as http, http.get("/api/pnl/breakdown", headers=READ) as answer:
        assert (await answer.json())["data"] == breakdown_view(house.snapshots[-1])


@pytest.mark.parametrize("path", ["/api/pnl/current", "/api/pnl/breakdown", "/api/pnl/current?period=today"])
async def test_before_the_first_snapshot_the_answer_is_503_with_a_retry(path):
    house = House(records=0)
    async with serving(house) as http, http.get(path, headers=READ) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "5"
        assert (await answer.json())["error"]["code"] == "not_ready"


@pytest.mark.parametrize(("query", "count"), [("", 100), ("?limit=1", 1), ("?limit=7", 7), ("?limit=1000", 120)])
async def test_history_by_limit_is_the_newest_oldest_first(query, count):
    house = House(records=120)
    async with serving(house) as http, http.get(f"/api/pnl/history{query}", headers=READ) as answer:
        body = await answer.json()
    assert body["data"] == {
        "count": count,
        "data": [snapshot_view(snapshot) for snapshot in house.snapshots[-count:]],
        "timestamp": ISO,
    }


async def test_history_of_an_empty_ledger():
    async with serving(House(records=0)) as http, http.get("/api/pnl/history", headers=READ) as answer:
        assert (await answer.json())["data"] == {"count": 0, "data": [], "timestamp": ISO}


async def test_history_by_range_defaults_to_the_last_hour_in_minutes():
    house = House(records=1000)  # 83 minutes
    async with serving(house) as http, http.get("/api/pnl/history?resolution=1m", headers=READ) as answer:
        data = (await answer.json())["data"]
    rows = data["data"]
    assert data["count"] == len(rows) == 61
    assert rows[0]["timestamp"] == NOW - 3_600_000
    assert rows[-1]["timestamp"] == NOW
    assert rows[0]["count"] == 60_000 // STEP
    assert set(rows[0]) == {
        "timestamp", "netPnL", "kalshiPnL", "costs", "revenue", "open", "high", "low", "close", "count",
    }  # fmt: skip
    assert rows[0]["high"] - rows[0]["low"] == pytest.approx(11)


async def test_history_by_range_with_bounds_and_limit():
    async with serving(House(records=50)) as http:
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
async def test_a_limit_above_a_thousand_is_cut_and_says_so(limit, count, limited):
    house = House(records=1200)
    async with serving(house) as http:
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
async def test_a_bad_parameter_is_400_and_named(path, name):
    async with serving() as http, http.get(path, headers=READ) as answer:
        body = await answer.json()
    assert answer.status == 400
    assert body["error"]["code"] == "bad_request"
    assert body["error"]["message"].startswith(f"{name} ")


async def test_unknown_parameters_are_ignored():
    async with serving() as http, http.get("/api/pnl/current?cachebuster=1&period=all", headers=READ) as answer:
        assert answer.status == 200


async def test_a_ledger_that_cannot_be_read_is_503():
    house = House()
    house.ledger.fails = StoreError("disk I/O error")
    async with serving(house) as http:
        for path in ("/api/pnl/history", "/api/pnl/history?resolution=1m", "/api/pnl/export"):
            async with http.get(path, headers=READ) as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"] == "5"
                assert (await answer.json())["error"]["code"] == "store_error"


async def test_export_as_csv_is_a_download_of_every_row():
    house = House(records=100)
    query = {"resolution": "raw", "from": NOW - 99 * STEP, "to": NOW}
    async with serving(house) as http, http.get("/api/pnl/export", params=query, headers=READ) as answer:
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
    ]  # fmt: skip


async def test_export_as_json_is_a_list_of_every_row():
    house = House(records=100)
    query = {"resolution": "raw", "from": NOW - 99 * STEP, "format": "json"}
    async with serving(house) as http, http.get("/api/pnl/export", params=query, headers=READ) as answer:
        rows = await answer.json()
    assert [row["timestamp"] for row in rows] == [record.at for record in house.ledger.records]


async def test_export_of_nothing():
    async with serving(House(records=0)) as http:
        async with http.get("/api/pnl/export", headers=READ) as answer:
            assert (await answer.text()).startswith("timestamp,netPnL,")
        async with http.get("/api/pnl/export?format=json", headers=READ) as answer:
            assert await answer.json() == []


async def test_head_of_an_export_has_headers_and_no_body():
    async with serving() as http, http.head("/api/pnl/export", headers=READ) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/csv"
        assert await answer.read() == b""


async def test_an_export_that_breaks_midway_is_cut_off_and_never_looks_complete():
    house = House(records=100)
    house.ledger.breaks_after = 3
    async with serving(house) as http:
        query = {"resolution": "raw", "from": NOW - 99 * STEP}
        async with http.get("/api/pnl/export", params=query, headers=READ) as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        async with http.get("/api/pnl/current", headers=READ) as answer:
            assert answer.status == 200


async def test_breaker_status_and_reset():
    house = House()
    async with serving(house) as http:
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
async def test_reset_refuses_a_bad_body(body):
    house = House()
    async with serving(house) as http, http.post(RESET, data=body, headers=ADMIN) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "bad_request"
        assert house.breakers.state["kalshi"] == "OPEN"


async def test_a_body_that_is_too_large_is_413_whether_announced_or_not():
    async def endless():
        for _ in range(64):
            yield b" " * 1024

    async with serving() as http:
        for data in (b" " * 20_000, endless()):
            async with http.post(RESET, data=data, headers=ADMIN) as answer:
                assert answer.status == 413
                assert (await answer.json())["error"]["code"] == "payload_too_large"


async def test_a_body_that_does_not_arrive_is_408():
    head = f"POST {RESET} HTTP/1.1\r\nHost: x\r\nX-API-Key: {ADMIN_KEY}\r\nContent-Length: 10\r\n\r\n{{"
    async with listening(body_timeout=0.05) as port:
        answer = await exchange(port, head.encode(), until=b'Z"}')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in answer


async def test_cache_stats_and_clear():
    house = House()
    async with serving(house) as http:
        async with http.get("/api/cache/stats", headers=READ) as answer:
            data = (await answer.json())["data"]
            assert data["hitRate"] == "80.00%"
            assert data["timestamp"] == ISO
        async with http.post("/api/cache/clear", headers=ADMIN) as answer:
            assert (await answer.json()) == {"success": True, "data": {"cleared": True}, "timestamp": ISO}
    assert house.cache.entries == 0


async def test_metrics():
    async with serving() as http, http.get("/metrics", headers=READ) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=1.0.0; charset=utf-8"
        assert await answer.text() == "pnl_ticks_total 1\n"


async def test_health_needs_no_key_and_tells_the_truth():
    house = House()
    async with serving(house) as http:
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
async def test_readiness(state, status):
    house = House()
    house.health.state = state
    async with serving(house) as http, http.get("/health/ready") as answer:
        assert (answer.status, await answer.json()) == (status, {"status": state})


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/api/pnl", "/api/pnl/current/", "/API/PNL/CURRENT"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_anything_else_is_404_in_the_failure_form(method, path):
    async with serving() as http, http.request(method, path, headers=READ) as answer:
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
async def test_a_wrong_method_is_405_and_says_which_are_right(method, path, allowed):
    async with serving() as http, http.request(method, path, headers=READ) as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) == allowed
        assert (await answer.json())["error"]["code"] == "method_not_allowed"


async def test_head_answers_as_get_without_a_body():
    async with serving() as http:
        async with http.get("/api/pnl/current", headers=READ) as answer:
            length = len(await answer.read())
        async with http.head("/api/pnl/current", headers=READ) as answer:
            assert answer.status == 200
            assert int(answer.headers["Content-Length"]) == length


async def test_bodies_are_json_that_a_strict_parser_takes():
    async with serving() as http:
        for path in ("/api/pnl/current", "/api/pnl/breakdown", "/api/pnl/history", "/nothing"):
            async with http.get(path, headers=READ) as answer:
                orjson.loads(await answer.read())
