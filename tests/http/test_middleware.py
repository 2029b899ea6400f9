"""What every answer carries, what failures tell whom, and what stands in the log."""

import asyncio
import re
import time
from email.utils import parsedate_to_datetime

import orjson
import pytest
from aiohttp import web
from loguru import logger

from pnl_backend.errors import FetchError
from tests.http.support import ADMIN, ADMIN_KEY, NOW, READ, READ_KEY, House, exchange
from tests.waiting import PATIENCE

HELMET = {
    "Content-Security-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Origin-Agent-Cluster",
    "Referrer-Policy",
    "X-Content-Type-Options",
    "X-DNS-Prefetch-Control",
    "X-Download-Options",
    "X-Frame-Options",
    "X-Permitted-Cross-Domain-Policies",
    "X-XSS-Protection",
}


@pytest.fixture
def log():
    """Every record's text, tracebacks included, with what loguru would add for debugging."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level="DEBUG", diagnose=False)
    yield lines
    logger.remove(sink)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/pnl/current", READ, 200),
        ("/api/pnl/export", READ, 200),
        ("/api/pnl/current", {}, 401),
        ("/api/pnl/current", {"X-API-Key": "no"}, 403),
        ("/api/pnl/history?limit=x", READ, 400),
        ("/nothing", {}, 404),
        ("/api/cache/clear", ADMIN, 405),
        ("/health", {}, 200),
        ("/metrics", READ, 200),
    ],
)
async def test_every_answer_carries_the_security_headers(serve, path, headers, status):
    http = await serve()
    async with http.get(path, headers=headers) as answer:
        assert answer.status == status
        assert set(answer.headers) >= HELMET
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'; ")
        assert "unsafe" not in policy
        assert "Server" not in answer.headers
        assert "Strict-Transport-Security" not in answer.headers


VARYING = {"Connection", "Date", "X-Request-ID", "RateLimit-Remaining"}


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("/api/pnl/current", READ, 200),
        ("/api/pnl/history?limit=2", READ, 200),
        ("/health/live", {}, 200),
        ("/nothing", {}, 404),
        ("/api/pnl/history?limit=x", READ, 400),
    ],
)
@pytest.mark.parametrize("changes", [{}, {"production": True}], ids=["development", "production"])
async def test_head_and_body_are_the_same_on_a_connection_that_closes_and_on_one_that_stays(
    serve, path, given, status, changes
):
    http = await serve(**changes)
    answers = []
    for connection in ("keep-alive", "close"):
        async with http.get(path, headers={**given, "Connection": connection}) as answer:
            assert answer.status == status
            assert answer.headers.get("Connection", "keep-alive") == connection
            body = await answer.json()
            body.get("error", {}).pop("id", None)
            fixed = {name: value for name, value in answer.headers.items() if name not in VARYING}
            assert all(len(answer.headers.getall(name)) == 1 for name in answer.headers)
            assert len(await answer.read()) == int(answer.headers["Content-Length"])
            answers.append((set(answer.headers) - {"Connection"}, fixed, answer.reason, body))
    assert answers[0] == answers[1]
    async with http.head(path, headers=given) as answer:
        assert set(answer.headers) == answers[0][0]
        assert await answer.read() == b""


async def test_the_date_of_an_answer_is_now(serve):
    http = await serve()
    before = int(time.time())
    async with http.get("/health/live") as answer:
        assert before <= parsedate_to_datetime(answer.headers["Date"]).timestamp() <= time.time()


async def test_request_ids_of_our_own_are_never_the_same(serve):
    http = await serve()
    given = set()
    for _ in range(600):
        async with http.get("/health/live") as answer:
            given.add(answer.headers["X-Request-ID"])
    assert len(given) == 600
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in given)


async def test_hsts_in_production_or_where_the_client_uses_tls(serve):
    http = await serve(production=True)
    async with http.get("/health") as answer:
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    https = {"X-Forwarded-Proto": "https"}
    http = await serve(trusted_proxies=("127.0.0.1",))
    async with http.get("/health", headers=https) as answer:
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    async with http.get("/health", headers={"X-Forwarded-Proto": "http"}) as answer:
        assert "Strict-Transport-Security" not in answer.headers
    http = await serve()
    async with http.get("/health", headers=https) as answer:
        assert "Strict-Transport-Security" not in answer.headers


async def test_a_sane_request_id_is_kept_and_any_other_replaced(serve):
    http = await serve()
    async with http.get("/nothing", headers={"X-Request-ID": "order-66.a_b"}) as answer:
        assert answer.headers["X-Request-ID"] == "order-66.a_b"
        assert (await answer.json())["error"]["id"] == "order-66.a_b"
    for given in ("", "a b", "x" * 65, "<script>", 'a"b', "ü"):
        async with http.get("/health", headers={"X-Request-ID": given}) as answer:
            assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"])


async def test_an_unexpected_error_in_production_shows_nothing_but_its_id(serve, log):
    house = House()
    house.fails = RuntimeError("secret upstream https://internal.example/path")
    http = await serve(house, production=True)
    ids = []
    for _ in range(3):
        async with http.get("/api/pnl/current", headers=READ) as answer:
            assert answer.status == 500
            text = await answer.text()
            assert "secret" not in text
            assert "internal.example" not in text
            error = (await answer.json())["error"]
            assert set(error) == {"message", "code", "id"}
            assert (error["message"], error["code"]) == ("Internal Server Error", "internal_error")
            ids.append(error["id"])
    await http.close()  # writes what is left of the access log
    written = "".join(log)
    assert all(identifier in written for identifier in ids)
    assert written.count("Traceback") == 1  # the first with its traceback, the next ones counted
    assert "3 times so far" in written


async def test_an_unexpected_error_in_development_shows_the_stack(serve, log):
    house = House()
    house.fails = RuntimeError("what went wrong")
    http = await serve(house)
    async with http.get("/api/pnl/current", headers=READ) as answer:
        error = (await answer.json())["error"]
    assert error["message"] == "what went wrong"
    assert "Traceback" in error["stack"]
    assert "RuntimeError: what went wrong" in error["stack"]


@pytest.mark.parametrize(("production", "message"), [(True, "Bad Gateway"), (False, "Kalshi: no answer")])
async def test_an_expected_error_keeps_status_and_code(serve, production, message):
    house = House()
    house.fails = FetchError("Kalshi: no answer")
    http = await serve(house, production=production)
    async with http.get("/api/pnl/current", headers=READ) as answer:
        assert answer.status == 502
        error = (await answer.json())["error"]
    assert (error["code"], error["message"]) == ("upstream_error", message)
    assert ("stack" in error) == (not production)


async def test_a_client_that_disconnects_during_an_answer_affects_no_other(serve, log):
    house = House(records=5000)
    query = f"resolution=raw&from={NOW - 5000 * 5000}&apiKey={READ_KEY}"
    http = await serve(house)
    head = f"GET /api/pnl/export?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    await exchange(http.port, head, until=b"\r\n\r\n")
    answer = await exchange(http.port, head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"\n") > 5000
    await http.close()  # writes what is left of the access log
    assert "Traceback" not in "".join(log)


async def test_the_access_log_has_one_line_a_request_with_its_id(serve, log):
    http = await serve()
    async with http.get("/api/pnl/history?limit=3", headers={**READ, "X-Request-ID": "abc"}) as answer:
        size = len(await answer.read())
    async with http.get("/nothing") as answer:
        assert answer.status == 404
    await http.close()  # writes what is left of the access log
    first, second = "".join(log).splitlines()
    assert re.search(rf"INFO .* 127\.0\.0\.1 GET /api/pnl/history\?limit=3 200 {size}B [0-9.]+ms abc$", first)
    assert re.search(r"127\.0\.0\.1 GET /nothing 404 \d+B [0-9.]+ms [0-9a-f]{16}$", second)


async def test_a_burst_is_gathered_into_few_records_and_loses_no_line(serve, log):
    http = await serve()
    for i in range(1200):
        async with http.get("/api/pnl/current", headers={**READ, "X-Request-ID": f"burst-{i}"}):
            pass
    await http.close()  # writes what is left of the access log
    lines = "".join(log).splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == [f"burst-{i}" for i in range(1200)]
    assert len(log) < 200


async def test_the_access_log_can_be_switched_off_and_probes_are_not_logged(serve, log):
    http = await serve(access_log=False)
    async with http.get("/api/pnl/current", headers=READ):
        pass
    await http.close()  # writes what is left of the access log
    assert log == []
    http = await serve()
    async with http.get("/health/live"):
        pass
    await http.close()  # writes what is left of the access log
    assert "| DEBUG " in log[0]


KEYED = [
    {"headers": {"X-API-Key": READ_KEY}},
    {"headers": {"Authorization": f"Bearer {READ_KEY}"}},
    {"params": {"apiKey": READ_KEY}},
    {"params": {"apiKey": READ_KEY, "limit": "x"}},
    {"params": {"APIKEY": READ_KEY}},
    {"params": {"token": READ_KEY}},
    {"params": {"whatever": READ_KEY}},
    {"params": {READ_KEY: ""}},
    {"params": {"limit": READ_KEY}},
    {"headers": {"Referer": f"http://x/?apiKey={READ_KEY}", "X-Request-ID": "r" * 70}},
]


@pytest.mark.parametrize("given", KEYED)
@pytest.mark.parametrize("fails", [False, True])
async def test_no_key_is_ever_in_a_log_or_an_answer(serve, log, given, fails):
    house = House()
    house.fails = RuntimeError("broken") if fails else None
    http = await serve(house)
    for path in ("/api/pnl/current", "/api/pnl/history", "/nothing", "/metrics"):
        async with http.get(path, **given) as answer:
            await answer.read()
            said = str(answer.headers) + await answer.text()
            assert READ_KEY not in said
    async with http.post("/api/cache/clear", headers={"X-API-Key": ADMIN_KEY}, params={"apiKey": ADMIN_KEY}):
        pass
    await http.close()  # writes what is left of the access log
    written = "".join(log)
    assert READ_KEY not in written
    assert ADMIN_KEY not in written
    assert written.count("127.0.0.1 ") >= 5


async def test_an_encoded_name_of_the_key_parameter_is_redacted_too(serve, log):
    http = await serve()
    await exchange(
        http.port, f"GET /api/pnl/current?api%4Bey={READ_KEY} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), until=b"}"
    )
    await http.close()  # writes what is left of the access log
    assert "/api/pnl/current?apiKey=*** 200" in log[0]


async def test_client_strings_are_escaped_and_cut_in_the_log(serve, log):
    http = await serve()
    path = "/%0a2026-01-01%20INFO%20forged%1b[31m" + "x" * 500
    await exchange(http.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), until=b"}")
    await exchange(http.port, b"GET /api/pnl/history?limit=%0a%1b[31mz HTTP/1.1\r\nHost: x\r\n\r\n", until=b"}")
    await http.close()  # writes what is left of the access log
    lines = "".join(log).splitlines()
    assert len(lines) == 2
    assert "\x1b" not in "".join(log)
    assert max(map(len, lines)) < 400


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: " + READ_KEY.encode() + b"\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: " + READ_KEY.encode() * 300 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n",
    ],
)
async def test_what_is_not_http_is_refused_without_an_error_in_the_log(serve, log, caplog, garbage):
    http = await serve()
    head, _, body = (await exchange(http.port, garbage)).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 "))
    error = orjson.loads(body)["error"]
    assert (error["message"], error["code"]) == ("Bad Request", "bad_request")
    assert b"aiohttp" not in head
    assert b"Python" not in head
    answer = await exchange(http.port, b"GET /health HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 200 ")
    await http.close()  # writes what is left of the access log
    written = "".join(log) + caplog.text
    assert error["id"] in written
    assert READ_KEY not in written
    assert "Traceback" not in written


async def test_an_error_of_a_passed_through_handler_is_answered_and_logged(serve, log):
    async def fail(request):
        raise RuntimeError("engine trouble")

    def mount(app):
        app.router.add_get("/socket.io/", fail)

    http = await serve(mount=mount)
    async with http.get("/socket.io/") as answer:
        assert answer.status == 500
        error = (await answer.json())["error"]
        assert error["message"] == "Internal Server Error"
        assert "aiohttp" not in str(answer.headers)
    await http.close()  # writes what is left of the access log
    assert error["id"] in log[0]
    assert "engine trouble" in log[0]


async def test_open_connections_do_not_hold_up_the_end(serve):
    http = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"}}")
    await http.close()
    await asyncio.wait_for(reader.read(), PATIENCE)  # the server closed it
    writer.close()


async def test_a_handler_that_raises_a_framework_error_still_answers_in_the_failure_form(serve):
    async def refuse(request):
        raise web.HTTPServiceUnavailable(text="an upstream's words")

    def mount(app):
        app.router.add_get("/api/extra", refuse)

    http = await serve(mount=mount)
    async with http.get("/api/extra", headers=READ) as answer:
        assert answer.status == 503
        error = (await answer.json())["error"]
    assert (error["message"], error["code"]) == ("Service Unavailable", "service_unavailable")
