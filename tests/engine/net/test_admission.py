"""Who is let in: origins, peers behind proxies, caps and their refusals, revoked keys."""

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import pnl_backend.engine
from pnl_backend.access.addresses import ClientAddresses
from pnl_backend.access.cors import CorsPolicy
from pnl_backend.engine import EngineConfig
from pnl_backend.engine.config import own_origin_only
from pnl_backend.engine.limits import EXCESS_TIMEOUT
from pnl_backend.engine.net.requests import Environ, Refusal, check_origin, clean_upgrade, from_client
from tests.engine.client import PollingClient, WebSocketClient
from tests.engine.conftest import Running, Start
from tests.waiting import PATIENCE

OPEN = "EIO=4&transport=websocket"
POLL = "EIO=4&transport=polling"
BEHIND_LOOPBACK = ClientAddresses(["127.0.0.1"]).resolve


async def refused(engine: Running, **kwargs: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await WebSocketClient(engine.http, engine.base).dial(OPEN, **kwargs)
    return error.value.status


class TestOrigin:
    @pytest.mark.parametrize("front", [True, False])
    async def test_foreign_origins_are_refused_before_anything_else(self, start: Start, front: bool) -> None:
        engine = await start(front=front, cors_allowed_origins=CorsPolicy(["https://dash.example"]).headers)
        for origin in ("https://evil.example", "null", "https://dash.example.evil", "http://dash.example", "garbage"):
            assert await refused(engine, origin=origin) == 403
            async with engine.http.get(f"{engine.base}?{POLL}", headers={"Origin": origin}) as response:
                assert response.status == 403
        assert engine.server.stats().clients == 0

    @pytest.mark.parametrize("front", [True, False])
    async def test_listed_and_own_origins_are_taken(self, start: Start, front: bool) -> None:
        engine = await start(front=front, cors_allowed_origins=CorsPolicy(["https://dash.example"]).headers)
        for origin in ("https://dash.example", f"http://127.0.0.1:{engine.port}"):
            await WebSocketClient(engine.http, engine.base).open(OPEN, origin=origin)
            async with engine.http.get(f"{engine.base}?{POLL}", headers={"Origin": origin}) as response:
                assert response.status == 200
                listed = origin == "https://dash.example"
                assert response.headers.get("Access-Control-Allow-Origin") == (origin if listed else None)
                assert response.headers.get("Access-Control-Allow-Credentials") == ("true" if listed else None)

    async def test_a_star_is_never_with_credentials(self, start: Start) -> None:
        engine = await start(cors_allowed_origins=CorsPolicy("*").headers)
        async with engine.http.options(f"{engine.base}?{POLL}", headers={"Origin": "https://x.example"}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in response.headers
        assert await refused(engine, origin="null") == 403

    @pytest.mark.parametrize("allowed", [["https://dash.example"], ["*"], ["*", "https://dash.example"]])
    async def test_a_preflight_allows_the_headers_asked_for(self, start: Start, allowed: Any) -> None:
        engine = await start(cors_allowed_origins=CorsPolicy(allowed).headers)
        asked = {
            "Origin": "https://dash.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-of-my-own, authorization",
        }
        async with engine.http.options(f"{engine.base}?{POLL}", headers=asked) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Headers"] == "x-of-my-own, authorization"
            assert response.headers["Access-Control-Allow-Methods"] == "GET, POST"
            everyone = "*" in allowed
            assert response.headers["Access-Control-Allow-Origin"] == ("*" if everyone else "https://dash.example")
            assert response.headers.get("Access-Control-Allow-Credentials") == (None if everyone else "true")
        asked["Origin"] = "https://evil.example" if not everyone else "null"
        async with engine.http.options(f"{engine.base}?{POLL}", headers=asked) as response:
            assert response.status == 403
            assert not any(name.startswith("Access-Control") for name in response.headers)

    def test_a_function_decides(self) -> None:
        environ = Environ(b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\n", "1.2.3.4")
        assert check_origin(environ, lambda origin, asked: {"X-Seen": f"{origin} {asked}"}) == {
            "X-Seen": "https://b None"
        }
        with pytest.raises(Refusal):
            check_origin(environ, lambda origin, asked: None)


class TestPeer:
    @pytest.mark.parametrize(
        ("peer", "forwarded", "expected"),
        [
            ("127.0.0.1", "9.9.9.9", "9.9.9.9"),
            ("127.0.0.1", "1.1.1.1, 9.9.9.9", "9.9.9.9"),
            ("127.0.0.1", "1.1.1.1, 9.9.9.9, 10.0.0.7", "9.9.9.9"),
            ("127.0.0.1", "10.0.0.8, 10.0.0.7", "10.0.0.8"),
            ("127.0.0.1", "9.9.9.9, junk", "127.0.0.1"),
            ("127.0.0.1", "", "127.0.0.1"),
            ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
            ("8.8.8.8", "9.9.9.9", "8.8.8.8"),
        ],
    )
    def test_only_the_headers_of_trusted_proxies_are_used(self, peer: str, forwarded: str, expected: str) -> None:
        environ = Environ(f"GET / HTTP/1.1\r\nX-Forwarded-For: {forwarded}\r\n".encode(), peer)
        config = EngineConfig(resolve_client=ClientAddresses(["127.0.0.0/8", "10.0.0.0/24"]).resolve)
        assert from_client(environ, config)["REMOTE_ADDR"] == expected

    def test_the_scheme_too(self) -> None:
        raw = b"GET / HTTP/1.1\r\nHost: dash\r\nOrigin: https://dash\r\nX-Forwarded-Proto: https\r\n"

        def seen(trusted: str) -> Environ:
            config = EngineConfig(resolve_client=ClientAddresses([trusted]).resolve)
            return from_client(Environ(raw, "127.0.0.1"), config)

        assert check_origin(seen("127.0.0.1"), own_origin_only) == {"Vary": "Origin"}
        with pytest.raises(Refusal):
            check_origin(seen("10.0.0.1"), own_origin_only)

    @pytest.mark.parametrize("transport", ["websocket", "polling"])
    async def test_handlers_get_the_real_peer(self, start: Start, transport: str) -> None:
        seen: list[str] = []
        options = {"authenticate": lambda environ, auth: seen.append(environ["REMOTE_ADDR"]) or "k"}
        engine = await start(resolve_client=BEHIND_LOOPBACK, options=options)
        engine.http.headers["X-Forwarded-For"] = "6.6.6.6, 7.7.7.7"
        await engine.connected(transport)
        assert seen == ["7.7.7.7"]


class TestCaps:
    @pytest.mark.parametrize("front", [True, False])
    async def test_in_total(self, start: Start, front: bool) -> None:
        engine = await start(front=front, max_connections=2)
        first = await engine.connected("websocket")
        await engine.connected("polling")
        assert await refused(engine) == 503
        async with engine.http.get(f"{engine.base}?{POLL}") as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
        await first.leave()
        await engine.until(lambda: engine.server.stats().clients == 1)
        await engine.connected("websocket")

    async def test_per_address(self, start: Start) -> None:
        engine = await start(max_connections_per_ip=2, resolve_client=BEHIND_LOOPBACK)
        headers = {"X-Forwarded-For": "6.6.6.6"}
        clients = [await WebSocketClient(engine.http, engine.base).open(OPEN, headers=headers) for _ in range(2)]
        assert await refused(engine, headers=headers) == 429
        other = await WebSocketClient(engine.http, engine.base).open(OPEN, headers={"X-Forwarded-For": "7.7.7.7"})
        await clients[0].leave()
        await engine.until(lambda: engine.server.stats().clients == 2)
        await WebSocketClient(engine.http, engine.base).open(OPEN, headers=headers)
        await other.leave()

    async def test_that_have_not_connected(self, start: Start) -> None:
        engine = await start(max_unauthenticated=2, connect_timeout=60)
        clients = [await engine.client("websocket") for _ in range(2)]
        assert await refused(engine) == 503
        await clients[0].send("40")
        await clients[0].packet()
        await engine.client("websocket")

    async def test_that_have_not_connected_from_one_address(self, start: Start) -> None:
        engine = await start(
            max_unauthenticated_per_ip=2, connect_timeout=60, ping_interval=60, resolve_client=BEHIND_LOOPBACK
        )
        headers = {"X-Forwarded-For": "6.6.6.6"}
        clients = [await WebSocketClient(engine.http, engine.base).open(OPEN, headers=headers) for _ in range(2)]
        await self._burst_is_over(engine)
        assert await refused(engine, headers=headers) == 429
        other = await engine.client("websocket")
        await clients[0].send("40")
        await clients[0].packet()
        clients.append(await WebSocketClient(engine.http, engine.base).open(OPEN, headers=headers))
        await self._burst_is_over(engine)
        assert await refused(engine, headers=headers) == 429
        await clients[1].leave()
        await engine.until(lambda: engine.server.stats().clients == 3)
        clients.append(await WebSocketClient(engine.http, engine.base).open(OPEN, headers=headers))
        await other.leave()

    async def test_a_burst_of_sessions_from_one_address_is_served(self, start: Start) -> None:
        engine = await start(max_unauthenticated_per_ip=2, max_connections_per_ip=0, connect_timeout=60)
        clients = [await engine.client("websocket") for _ in range(20)]
        for client in clients:
            await client.send("40")
            assert str(await client.packet()).startswith("40{")

    @staticmethod
    async def _burst_is_over(engine: Any) -> None:
        """Sessions that wait now have waited longer than a burst takes."""
        timers = engine.server.eio.shared.timers
        ends = timers.now() + EXCESS_TIMEOUT
        await engine.until(lambda: timers.now() >= ends)

    async def test_per_key(self, start: Start) -> None:
        options = {"authenticate": lambda environ, auth: auth["key"]}
        engine = await start(max_connections_per_key={"a": 1}, options=options)
        first = await engine.client("websocket")
        await first.send('40{"key":"a"}')
        assert str(await first.packet()).startswith("40{")
        second = await engine.client("websocket")
        await second.send('40{"key":"a"}')
        assert await second.packet() == '44{"message":"Too many connections for this key"}'
        await second.send('40{"key":"b"}')
        assert str(await second.packet()).startswith("40{")
        await first.leave()
        await engine.until(lambda: engine.server.stats().clients == 1)
        third = await engine.client("websocket")
        await third.send('40{"key":"a"}')
        assert str(await third.packet()).startswith("40{")

    async def test_a_client_that_disconnects_during_authentication_is_not_counted(self, start: Start) -> None:
        gate = asyncio.Event()

        async def authenticate(environ: Environ, auth: Any) -> str | None:
            await gate.wait()
            return "a"

        engine = await start(max_connections_per_key=1, options={"authenticate": authenticate})
        first = await engine.client("websocket")
        await first.send("40")
        await first.leave()
        await engine.until(lambda: engine.server.stats().clients == 0)
        gate.set()
        second = await engine.connected("websocket")
        await second.leave()

    async def test_a_revoked_key_closes_its_clients(self, start: Start) -> None:
        engine = await start(options={"authenticate": lambda environ, auth: auth["key"]})
        clients = {}
        for key in ("a", "b"):
            clients[key] = await engine.client("websocket")
            await clients[key].send(f'40{{"key":"{key}"}}')
            await clients[key].packet()
        assert engine.server.close_key("a") == 1
        assert await clients["a"].packet() == "41"
        await clients["a"].until_closed()
        await clients["b"].send('42["message",1]')
        assert await clients["b"].packet() == '42["message-back",1]'

    async def test_nothing_lasts_before_the_key_is_known(self, start: Start) -> None:
        gate = asyncio.Event()

        async def authenticate(environ: Environ, auth: Any) -> str | None:
            await gate.wait()
            return None

        engine = await start(options={"authenticate": authenticate})
        client = await engine.client("websocket")
        await client.send("40")
        assert engine.server.manager.members == {}
        gate.set()
        assert str(await client.packet()).startswith("44")
        assert engine.server.manager.members == {}
        assert engine.log == []


class TestFront:
    @pytest.mark.parametrize(
        "head",
        [
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n",
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET / HTTP/1.1\r\nUpgrade : websocket\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
            b"GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n",
            b"GET / HTTP/1.1\nUpgrade: websocket\n\n",
            b"POST / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
        ],
    )
    def test_odd_heads_are_left_to_a_general_parser(self, head: bytes) -> None:
        assert not clean_upgrade(head)

    async def test_ordinary_requests_are_aiohttps(self, start: Start) -> None:
        engine = await start()
        async with engine.http.get(f"http://127.0.0.1:{engine.port}/nowhere") as response:
            assert response.status == 404
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        for part in (b"GET /socket.io/?EIO=4&trans", b"port=polling HTTP/1.1\r\nHo", b"st: a\r\n\r\n"):
            writer.write(part)
            await writer.drain()
        assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)
        writer.close()

    async def test_garbage_is_answered_and_closed(self, start: Start) -> None:
        engine = await start()
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        writer.write(b"\x16\x03\x01 not http\r\n\r\n")
        assert b" 400 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)
        writer.close()

    async def test_an_upgrade_on_a_kept_connection(self, start: Start) -> None:
        """As a reverse proxy with a connection pool does it: first a request, then an upgrade, on one connection."""
        engine = await start()
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        writer.write(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        found = re.search(rb"Content-Length: (\d+)", head)
        assert found
        await reader.readexactly(int(found[1]))
        writer.write(
            f"GET /socket.io/?{OPEN} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            + b"\x81\x82\0\0\0\x0040"
        )
        assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)
        received = b""
        while b'40{"sid":' not in received:
            received += await asyncio.wait_for(reader.read(4096), PATIENCE)
        writer.close()
        await engine.until(lambda: engine.server.stats().clients == 0)

    async def test_a_frame_behind_the_handshake_in_one_segment(self, start: Start) -> None:
        engine = await start()
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        writer.write(
            f"GET /socket.io/?{OPEN} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            + b"\x81\x82\0\0\0\x0040"
        )
        received = b""
        while b'40{"sid":' not in received:
            received += await asyncio.wait_for(reader.read(4096), PATIENCE)
        writer.close()


def test_no_clock_but_the_monotonic_one() -> None:
    """A clock jump drops nobody: wall time is never read."""
    folder = Path(str(pnl_backend.engine.__file__)).parent
    modules = list(folder.rglob("*.py"))
    assert len(modules) > 20
    for module in modules:
        assert not re.search(r"\btime\.time\(|datetime|import time\b", module.read_text()), module.name


async def test_polling_refusals_leave_nothing(start: Start) -> None:
    engine = await start(max_connections=1)
    await PollingClient(engine.http, engine.base).open()
    for _ in range(20):
        async with engine.http.get(f"{engine.base}?{POLL}") as response:
            assert response.status == 503
    assert engine.server.stats().clients == 1
    assert engine.server.stats().refused == 20
