"""The contract's REST routes over a real port: current figures, breakers, cache, health, and what is no route."""

import re

import orjson
import pytest

from tests.http.shapes import ANTHROPIC, ISO, JOHNS, kalshi, newest
from tests.http.support import ADMIN, ADMIN_KEY, READ, House, exchange

RESET = "/api/circuit-breaker/reset"


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
