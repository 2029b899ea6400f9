"""The descriptions: what they say is what is served."""

import re

import jsonschema_rs
import pytest
from aiohttp import web

from pnl_backend.http.routing import Answer, Guard, Route
from tests.http.support import ADMIN, READ, House

JSON = "application/json"


async def description(http):
    async with http.get("/openapi.json", headers=READ) as answer:
        assert answer.content_type == JSON
        return await answer.json()


def validator(document, path, method, status, kind=JSON):
    """A validator of one answer's body, with the document's components at hand."""
    responses = document["paths"][path][method]["responses"]
    schema = (responses.get(str(status)) or responses["default"])["content"][kind]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


ANSWERS = [
    ("get", "/health", {}, None, 200),
    ("get", "/api/health", {}, None, 200),
    ("get", "/health/live", {}, None, 200),
    ("get", "/health/ready", {}, None, 200),
    ("get", "/api/pnl/current", READ, None, 200),
    ("get", "/api/pnl/current?period=today", READ, None, 200),
    ("get", "/api/pnl/current?period=no", READ, None, 400),
    ("get", "/api/pnl/current", {}, None, 401),
    ("get", "/api/pnl/current", {"X-API-Key": "no"}, None, 403),
    ("get", "/api/pnl/breakdown", READ, None, 200),
    ("get", "/api/pnl/history", READ, None, 200),
    ("get", "/api/pnl/history?resolution=1m", READ, None, 200),
    ("get", "/api/pnl/export?format=json", READ, None, 200),
    ("get", "/api/circuit-breaker/status", READ, None, 200),
    ("post", "/api/circuit-breaker/reset", ADMIN, {"service": "kalshi"}, 200),
    ("post", "/api/circuit-breaker/reset", ADMIN, {"service": "none"}, 404),
    ("post", "/api/circuit-breaker/reset", READ, {}, 403),
    ("get", "/api/cache/stats", READ, None, 200),
    ("post", "/api/cache/clear", ADMIN, None, 200),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status"), ANSWERS)
async def test_real_answers_have_the_described_shape(serve, method, path, headers, body, status):
    http = await serve()
    document = await description(http)
    async with http.request(method, path, headers=headers, json=body) as answer:
        assert answer.status == status
        validator(document, path.partition("?")[0], method, status).validate(await answer.json())


async def test_the_limit_and_the_emptiness_have_the_described_shape(serve):
    http = await serve(House(records=0), rate_limit_per_minute=2)
    document = await description(http)
    for status in (503, 429):
        async with http.get("/api/pnl/current", headers=READ) as answer:
            assert answer.status == status
            assert "Retry-After" in answer.headers
            validator(document, "/api/pnl/current", "get", status).validate(await answer.json())


async def test_every_served_route_is_described_and_every_described_one_served(serve):
    http = await serve()
    document = await description(http)
    assert document["openapi"] == "3.1.0"
    paths = set(document["paths"])
    assert paths == {
        "/health", "/api/health", "/health/live", "/health/ready", "/api/pnl/current", "/api/pnl/history",
        "/api/pnl/breakdown", "/api/pnl/export", "/api/circuit-breaker/status", "/api/circuit-breaker/reset",
        "/api/cache/stats", "/api/cache/clear", "/api/sources", "/metrics", "/openapi.json", "/docs",
    }  # fmt: skip
    for path, operations in document["paths"].items():
        for method in operations:
            async with http.request(method, path, headers=ADMIN) as answer:
                assert answer.status == 200, path


async def test_the_page_shows_everything_and_needs_nothing_else(serve):
    http = await serve()
    document = await description(http)
    async with http.get("/docs", headers=READ) as answer:
        assert answer.content_type == "text/html"
        page = await answer.text()
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in page
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(document["components"]["schemas"])
    assert not re.search(r"<script|<style|style=|\son\w+=|https?://", page)
    assert re.findall(r'(?:href|src)="(/[^"]*)"', page) == ["/page.css"]
    async with http.get("/docs") as answer:
        assert answer.status == 401


async def test_an_extra_route_is_served_guarded_and_described(serve):
    async def stream(request):
        return web.Response(text="data: {}\n\n", content_type="text/event-stream")

    route = Route(
        method="GET",
        path="/api/pnl/stream",
        handler=stream,
        summary="Live",
        tag="P&L",
        guard=Guard("read"),
        answers=(Answer("Events.", content_type="text/event-stream"),),
    )
    http = await serve(extra=[route], cors_origins=("*",))
    assert "/api/pnl/stream" in (await description(http))["paths"]
    async with http.get("/api/pnl/stream", headers={**READ, "Origin": "https://a.example"}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert await answer.text() == "data: {}\n\n"
    async with http.get("/api/pnl/stream") as answer:
        assert answer.status == 401


async def test_asyncapi_is_served_and_shown_where_the_feeds_describe_themselves(serve):
    house = House()
    house.describe_feeds(
        {
            "asyncapi": "3.0.0",
            "channels": {"ledger": {"address": "/ws", "description": "Snapshots & deltas, as `JSON`."}},
            "components": {"schemas": {"Ledger": {"type": "object", "properties": {"seq": {"type": "integer"}}}}},
        }
    )
    http = await serve(house)
    async with http.get("/asyncapi.json", headers=READ) as answer:
        assert (await answer.json())["asyncapi"] == "3.0.0"
    async with http.get("/docs", headers=READ) as answer:
        page = await answer.text()
    assert "Snapshots &amp; deltas, as <code>JSON</code>." in page
    assert 'id="Ledger"' in page
    http = await serve()
    async with http.get("/asyncapi.json", headers=READ) as answer:
        assert answer.status == 404
