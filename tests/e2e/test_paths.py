"""Paths match as Express matches them: case does not matter, nor does one slash at the end."""

import aiohttp
import pytest

from tests.support.clients import Listener
from tests.support.feeds import plain_socket
from tests.support.server import FAST, ServerProcess, upstream_env

KEY = "read-key-of-the-paths-0123456789abcdef"
ADMIN = "admin-key-of-the-paths-0123456789abcdef"
READ = {"X-API-Key": KEY}
ROUTES = (
    "/health", "/health/live", "/health/ready", "/api/health", "/api/pnl/current", "/api/pnl/history",
    "/api/pnl/breakdown", "/api/pnl/export", "/api/circuit-breaker/status", "/api/cache/stats", "/metrics",
    "/openapi.json", "/asyncapi.json", "/docs",
)  # fmt: skip


@pytest.fixture
async def keyed(tmp_path, simulator):
    env = {"API_KEY": KEY, "ADMIN_API_KEY": ADMIN}
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()), **env)
    await server.start()
    yield server
    await server.close()


def written(path):
    """The ways in which an old client may write a path."""
    return (path, path.upper(), path.title(), f"{path}/", f"{path.upper()}/")


async def status(session, method, url, **headers):
    async with session.request(method, url, headers=headers) as answer:
        return answer.status, answer.content_type


async def test_every_rest_route(keyed):
    async with aiohttp.ClientSession() as session:
        for route in ROUTES:
            plain = await status(session, "GET", keyed.url + route, **READ)
            assert plain[0] == 200, route
            for path in written(route):
                assert await status(session, "GET", keyed.url + path, **READ) == plain, path
                assert await status(session, "HEAD", keyed.url + path, **READ) == plain, path
                wanted = 200 if "health" in route else 401
                assert (await status(session, "GET", keyed.url + path))[0] == wanted, path
            assert (await status(session, "GET", f"{keyed.url}{route}//", **READ))[0] == 404
        for route in ("/api/circuit-breaker/reset", "/api/cache/clear"):
            for path in written(route):
                assert (await status(session, "POST", keyed.url + path, **READ))[0] == 403, path
                assert (await status(session, "POST", keyed.url + path, **{"X-API-Key": ADMIN}))[0] == 200, path
                assert (await status(session, "GET", keyed.url + path, **READ))[0] == 405, path


async def test_the_query_and_the_key_in_it_stay_as_they_are(keyed):
    answer = await keyed.get(f"/API/PnL/History/?limit=2&apiKey={KEY}")
    assert answer["data"]["count"] >= 1
    assert (await keyed.get(f"/api/pnl/current/?apiKey={KEY.upper()}"))["error"]["message"] == "Invalid API key"
    assert KEY not in keyed.log


async def test_a_preflight_of_another_page(keyed):
    async with aiohttp.ClientSession() as session:
        headers = {"Origin": "https://page.example", "Access-Control-Request-Method": "GET"}
        for path in written("/api/pnl/current"):
            async with session.options(keyed.url + path, headers=headers) as answer:
                assert answer.status == 200, path
                assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"


async def test_the_event_stream(keyed):
    async with aiohttp.ClientSession() as session:
        for path in written("/api/pnl/stream"):
            async with session.get(f"{keyed.url}{path}?apiKey={KEY}") as answer:
                assert answer.status == 200, path
                assert answer.content_type == "text/event-stream"
                assert (await answer.content.readline()).startswith(b"retry:")


@pytest.mark.parametrize("path", ["/", "/ws", "/WS", "/ws/", "/Ws/", "/pnl-stream", "/PNL-Stream", "/pnl-stream/"])
async def test_every_plain_socket(keyed, path):
    async with plain_socket(keyed.url, f"{path}?apiKey={KEY}") as client:
        assert "netPnL" in (await client.read()).get("data", {"netPnL": 0})


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="-".join)
@pytest.mark.parametrize("path", ["socket.io", "Socket.IO", "SOCKET.IO"])
async def test_socket_io(keyed, path, transports):
    client = Listener()
    await client.io.connect(keyed.url, socketio_path=path, transports=transports, auth={"apiKey": KEY})
    try:
        assert (await client.io.call("subscribe_pnl"))["ok"]
        await client.until(lambda c: len(c.of("pnl_update")) >= 2)
    finally:
        await client.io.disconnect()


async def test_socket_io_without_its_last_slash(keyed):
    async with aiohttp.ClientSession() as session:
        for path in ("/socket.io", "/SOCKET.io"):
            async with session.get(f"{keyed.url}{path}?EIO=4&transport=polling") as answer:
                assert (await answer.text()).startswith("0{"), path
            async with session.ws_connect(f"{keyed.url}{path}?EIO=4&transport=websocket") as socket:
                assert (await socket.receive_str()).startswith("0{"), path
