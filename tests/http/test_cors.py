"""What browsers on other origins may do."""

import pytest

from tests.http.support import ADMIN, READ

HOME = "https://dash.example"
ALLOW = "Access-Control-Allow-Origin"


def preflight(origin: str, method: str = "GET", headers: str = "x-api-key, authorization") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


@pytest.mark.parametrize(
    ("origins", "credentials"), [((HOME,), "true"), (("*",), None), (("https://other.example", HOME), "true")]
)
async def test_an_allowed_origin_reads_with_its_key_and_a_listed_one_with_credentials(serve, origins, credentials):
    http = await serve(cors_origins=origins)
    async with http.options("/api/pnl/current", headers=preflight(HOME)) as answer:
        assert answer.status == 200
        assert answer.headers[ALLOW] == HOME
        assert answer.headers["Access-Control-Allow-Methods"] == "GET"
        assert set(answer.headers["Access-Control-Allow-Headers"].lower().split(",")) == {
            "x-api-key",
            "authorization",
        }
        assert int(answer.headers["Access-Control-Max-Age"]) > 0
        assert answer.headers.get("Access-Control-Allow-Credentials") == credentials
    async with http.get("/api/pnl/current", headers={**READ, "Origin": HOME}) as answer:
        assert answer.status == 200
        assert answer.headers[ALLOW] == HOME
        assert answer.headers["Vary"] == "Origin"
        assert answer.headers.get("Access-Control-Allow-Credentials") == credentials
    async with http.head("/api/pnl/current", headers={**READ, "Origin": HOME}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/api/pnl/current", {}, 401), ("/api/pnl/history?limit=x", READ, 400), ("/api/pnl/export", READ, 200)],
)
async def test_failures_and_streams_can_be_read_by_an_allowed_origin(serve, path, headers, status):
    http = await serve(cors_origins=(HOME,))
    async with http.get(path, headers={**headers, "Origin": HOME}) as answer:
        assert answer.status == status
        assert answer.headers[ALLOW] == HOME
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


async def test_post_from_an_allowed_origin(serve):
    http = await serve(cors_origins=(HOME,))
    headers = preflight(HOME, "POST", "content-type,x-api-key")
    async with http.options("/api/circuit-breaker/reset", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    async with http.post("/api/cache/clear", headers={**ADMIN, "Origin": HOME}) as answer:
        assert answer.headers[ALLOW] == HOME


@pytest.mark.parametrize(
    ("origins", "origin"),
    [
        ((HOME,), "https://evil.example"),
        ((HOME,), "http://dash.example"),
        ((HOME,), "https://dash.example.evil.example"),
        ((HOME,), "null"),
        (("*",), "null"),
        (("null",), "null"),
        ((), HOME),
    ],
)
async def test_a_foreign_origin_and_null_are_refused(serve, origins, origin):
    http = await serve(cors_origins=origins)
    async with http.options("/api/pnl/current", headers=preflight(origin)) as answer:
        assert answer.status == 403
        assert ALLOW not in answer.headers
        assert (await answer.json())["success"] is False
    async with http.get("/api/pnl/current", headers={**READ, "Origin": origin}) as answer:
        assert ALLOW not in answer.headers


@pytest.mark.parametrize("origins", [(HOME,), ("*",)])
async def test_headers_of_the_page_s_own_are_allowed(serve, origins):
    asked = preflight(HOME, "GET", "x-of-my-own, x-api-key")
    http = await serve(cors_origins=origins)
    async with http.options("/api/pnl/current", headers=asked) as answer:
        assert answer.status == 200
        assert set(answer.headers["Access-Control-Allow-Headers"].lower().split(",")) == {"x-of-my-own", "x-api-key"}


async def test_methods_beyond_need_are_refused(serve):
    asked = preflight(HOME, "DELETE")
    http = await serve(cors_origins=("*",))
    async with http.options("/api/pnl/current", headers=asked) as answer:
        assert answer.status == 403


async def test_preflights_are_not_counted_by_the_rate_limit(serve):
    http = await serve(cors_origins=(HOME,), rate_limit_per_minute=1)
    for _ in range(5):
        async with http.options("/api/pnl/current", headers=preflight(HOME)) as answer:
            assert answer.status == 200
    async with http.get("/api/pnl/current", headers={**READ, "Origin": HOME}) as answer:
        assert answer.status == 200
        assert "RateLimit-Remaining" in answer.headers["Access-Control-Expose-Headers"]
