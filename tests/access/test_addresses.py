"""The client behind trusted proxies: one answer for REST and for every kind of socket."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest

from pnl_backend.access.addresses import ClientAddresses, group
from tests.support.server import FAST, ServerProcess
from tests.waiting import PATIENCE

PROXIES = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("127.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("127.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "[::ffff:203.0.113.7]:443", "203.0.113.7"),
        ("::ffff:127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.9", "203.0.113.7", "203.0.113.9"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7:1, 10.1.2.3:2, [fd00::5]:3", "203.0.113.7"),
        ("127.0.0.1", "10.0.0.8:80, 10.0.0.7", "10.0.0.8"),
        ("127.0.0.1", "203.0.113.7, unknown", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7, 10.0.0.7, _hidden", "127.0.0.1"),
        ("127.0.0.1", "[203.0.113.7", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7:", "127.0.0.1"),
        ("127.0.0.1", "[2001:db8::1]x", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("203.0.113.9", "203.0.113.7", "203.0.113.9"),
        ("", "203.0.113.7", "local"),
    ],
)
def test_the_rightmost_hop_that_is_no_trusted_proxy(peer, forwarded, client):
    assert ClientAddresses(PROXIES).resolve(peer, False, forwarded, "")[0] == client


@pytest.mark.parametrize(
    ("peer", "secure", "proto", "expected"),
    [
        ("127.0.0.1", False, "https", True),
        ("127.0.0.1", False, "http, HTTPS ", True),
        ("127.0.0.1", False, "https, http", False),
        ("127.0.0.1", True, "", True),
        ("203.0.113.9", False, "https", False),
    ],
)
def test_the_scheme_is_that_of_the_nearest_trusted_proxy(peer, secure, proto, expected):
    assert ClientAddresses(PROXIES).resolve(peer, secure, "203.0.113.7", proto)[1] is expected


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::5", "2001:db8:0:1::/64"),
        ("local", "local"),
    ],
)
def test_what_counts_as_one_address(address, counted_as):
    assert group(address) == counted_as


WAYS_IN = (
    "/ws?",
    "/pnl-stream?",
    "/socket.io/?EIO=4&transport=websocket",
    "/socket.io/?EIO=4&transport=polling",
    "sse",
)
SAME_CLIENTS = [
    ("203.0.113.7:4711", "203.0.113.7:4712", "::ffff:203.0.113.7"),
    ("[2001:db8::1]:443", "2001:db8::1", "[2001:db8::2]:444"),
]


@pytest.fixture
async def behind_proxy(tmp_path):
    """A server that takes one socket from each client, behind a proxy on this machine."""
    env = {"DEMO": "true", "TRUSTED_PROXIES": "127.0.0.1", "MAX_CONNECTIONS_PER_IP": "1", "RATE_LIMIT_PER_MINUTE": "9"}
    server = ServerProcess(tmp_path, **{**FAST, **env})
    await server.start()
    yield server
    await server.close()


@pytest.mark.parametrize("way", WAYS_IN)
async def test_every_transport_and_rest_have_the_same_client_address(behind_proxy, way):
    async with aiohttp.ClientSession(behind_proxy.url) as http, AsyncExitStack() as open_sockets:
        for first, *others in SAME_CLIENTS:
            left = await remaining(http, first)
            assert await remaining(http, others[-1]) == left - 1
            assert await status(http, open_sockets, way, first) in (101, 200)
            for other in others:
                assert await status(http, open_sockets, way, other) == 429
        await behind_proxy.until("/api/health", lambda a: a["connectedClients"] == len(SAME_CLIENTS))


async def remaining(http: aiohttp.ClientSession, forwarded: str) -> int:
    async with http.get("/api/pnl/current", headers={"X-Forwarded-For": forwarded}) as answer:
        return int(answer.headers["RateLimit-Remaining"])


async def status(http: aiohttp.ClientSession, open_sockets: AsyncExitStack, way: str, forwarded: str) -> int:
    """Connect and stay; the answer's status."""
    headers = {"X-Forwarded-For": forwarded}
    async with asyncio.timeout(PATIENCE):
        if way == "sse" or "polling" in way:
            path = "/api/pnl/stream" if way == "sse" else way
            return (await open_sockets.enter_async_context(http.get(path, headers=headers))).status
        try:
            await open_sockets.enter_async_context(http.ws_connect(way, headers=headers))
        except aiohttp.WSServerHandshakeError as error:
            return error.status
        return 101
