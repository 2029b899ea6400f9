"""Plain WebSocket and SSE feeds on the engine's connections."""

import asyncio
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pnl_backend.engine import Environ, FeedConnection, Message, Refusal, Server, open_event_stream
from pnl_backend.engine.closes import Close
from tests.engine.conftest import Running, Start
from tests.engine.socketio.test_fanout import stuck
from tests.waiting import PATIENCE

TEXT_ONLY = Close(1003, "text only", reconnect=False, advice="")
AS_ASKED = Close(4401, "as you wish", reconnect=False, advice="")


class Echo:
    """A feed that answers what it is told and notes what happens."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connections: list[FeedConnection] = []
        self.notes: list[str] = []

    def accept(self, environ: Environ) -> "Echo | Refusal":
        return self if environ.query.get("apiKey") == "k" else Refusal(401, "Missing API key")

    def opened(self, connection: FeedConnection) -> None:
        self.connections.append(connection)
        assert connection.claim("k")
        connection.send("hello")

    def received(self, connection: FeedConnection, data: str | bytes) -> None:
        if isinstance(data, bytes):
            connection.close(TEXT_ONLY)
        elif data == "bye":
            connection.close(AS_ASKED)
        else:
            connection.send(f"you said {data}")

    def closed(self, connection: FeedConnection, reason: str) -> None:
        self.connections.remove(connection)
        self.notes.append(reason)


class Feed:
    def __init__(self, engine: Running, echo: Echo) -> None:
        self.engine = engine
        self.echo = echo

    def url(self, query: str = "apiKey=k") -> str:
        return f"http://127.0.0.1:{self.engine.port}/ws?{query}"

    async def dial(self, **kwargs: Any) -> aiohttp.ClientWebSocketResponse:
        return await self.engine.http.ws_connect(self.url(), **kwargs)


@pytest.fixture(params=[True, False], ids=["front", "aiohttp"])
async def feed(request: pytest.FixtureRequest, start: Start) -> Feed:
    echoes: list[Echo] = []

    def setup(server: Server) -> None:
        echo = Echo(server)
        echoes.append(echo)
        server.add_feed("/ws", echo.accept)

    engine = await start(front=request.param, setup=setup)
    return Feed(engine, echoes[0])


class TestWebSocket:
    async def test_text_both_ways(self, feed: Feed) -> None:
        ws = await feed.dial()
        await ws.send_str("hi")
        assert await ws.receive_str(timeout=5) == "hello"
        assert await ws.receive_str(timeout=5) == "you said hi"
        assert feed.engine.server.stats().feed_websocket == 1
        await ws.close()
        await feed.engine.until(lambda: feed.echo.notes == ["transport close"])
        assert feed.engine.server.stats().clients == 0

    async def test_refused_before_the_upgrade(self, feed: Feed) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await feed.engine.http.ws_connect(feed.url("apiKey=no"))
        assert refused.value.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await feed.dial(origin="https://evil.example")
        assert refused.value.status == 403
        assert feed.engine.server.stats().clients == 0

    async def test_a_get_without_upgrade_is_the_applications(self, feed: Feed) -> None:
        async with feed.engine.http.get(feed.url()) as response:
            assert response.status == 404

    @pytest.mark.parametrize(("send", "code"), [("bye", 4401), (b"binary", 1003), ("x" * 20_000, 1009)])
    async def test_close_codes(self, feed: Feed, send: str | bytes, code: int) -> None:
        ws = await feed.dial()
        await ws.receive_str()
        await (ws.send_str(send) if isinstance(send, str) else ws.send_bytes(send))
        message = await ws.receive(timeout=PATIENCE)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert ws.close_code == code
        await feed.engine.until(lambda: len(feed.echo.notes) == 1)

    async def test_fan_out_in_order_with_direct_messages(self, feed: Feed) -> None:
        sockets = [await feed.dial() for _ in range(5)]
        for ws in sockets:
            assert await ws.receive_str() == "hello"
        for number in range(200):
            feed.engine.server.publish(list(feed.echo.connections), Message.text(f"m{number}"))
            if number % 10 == 0:
                feed.echo.connections[0].send(f"d{number}")
        for ws in sockets:
            got = [await ws.receive_str(timeout=5) for _ in range(200)]
            if any(text.startswith("d") for text in got):
                got += [await ws.receive_str(timeout=5) for _ in range(20)]
                assert got.index("d50") == got.index("m50") + 1
            assert [text for text in got if text.startswith("m")] == [f"m{number}" for number in range(200)]

    async def test_those_behind_get_the_whole_message(self, feed: Feed) -> None:
        sock = stuck(feed.engine, path="/ws?apiKey=k")
        await feed.engine.until(lambda: len(feed.echo.connections) == 1)
        (connection,) = feed.echo.connections
        big = "x" * 60_000
        server = feed.engine.server
        while not connection.behind:
            server.publish([connection], Message.text(big, replace_key="k"))
            await asyncio.sleep(0)
        for number in range(100):
            server.publish(
                [connection], Message.text(f"delta {number}"), behind=Message.text(f"whole {number}", replace_key="k")
            )
        reader, writer = await asyncio.open_connection(sock=sock)
        received = b""
        while b"whole 99" not in received:
            received += await asyncio.wait_for(reader.read(65536), PATIENCE)
        assert b"delta" not in received
        assert received.count(b"whole") == 1
        writer.close()

    async def test_protocol_pings_and_peers_that_do_not_answer(self, start: Start) -> None:
        echoes: list[Echo] = []

        def setup(server: Server) -> None:
            echoes.append(Echo(server))
            server.add_feed("/ws", echoes[0].accept)

        engine = await start(setup=setup, ping_interval=0.2, ping_timeout=0.4)
        ws = await engine.http.ws_connect(f"http://127.0.0.1:{engine.port}/ws?apiKey=k", autoping=False)
        assert await ws.receive_str() == "hello"
        for _ in range(3):
            message = await ws.receive(timeout=PATIENCE)
            assert message.type is aiohttp.WSMsgType.PING
            await ws.pong(message.data)
        await engine.until(lambda: echoes[0].notes == ["ping timeout"])
        assert engine.server.stats().clients == 0

    async def test_shutdown_and_revocation(self, feed: Feed) -> None:
        first = await feed.dial()
        await first.receive_str()
        assert feed.engine.server.close_key("k") == 1
        await first.receive(timeout=PATIENCE)
        assert first.close_code == 1008
        second = await feed.dial()
        await second.receive_str()
        stopping = asyncio.create_task(feed.engine.server.shutdown(5))
        await second.receive(timeout=PATIENCE)
        assert second.close_code == 1001
        await stopping


class TestEventStream:
    @pytest.fixture
    async def url(self, start: Start) -> Any:
        echoes: list[Echo] = []

        def setup(server: Server) -> None:
            echoes.append(Echo(server))

        async def build(*, front: bool, **config: Any) -> tuple[Running, Echo, str]:
            engine = await start(front=front, setup=setup, route=self.route(echoes), **config)
            return engine, echoes[0], f"http://127.0.0.1:{engine.port}/stream"

        return build

    @staticmethod
    def route(echoes: list[Echo]) -> Any:
        def add(server: Server, app: web.Application) -> None:
            async def handler(request: web.Request) -> web.StreamResponse:
                return await open_event_stream(server.feeds, request, echoes[0], {"X-Extra": "yes"})

            app.router.add_get("/stream", handler)

        return add

    @pytest.mark.parametrize("front", [True, False])
    async def test_events(self, url: Any, front: bool) -> None:
        engine, echo, address = await url(front=front)
        async with engine.http.get(address) as response:
            assert response.status == 200
            assert response.headers["Content-Type"].startswith("text/event-stream")
            assert response.headers["Cache-Control"] == "no-cache, no-transform"
            assert response.headers["X-Accel-Buffering"] == "no"
            assert response.headers["X-Extra"] == "yes"
            assert await response.content.readuntil(b"\n\n") == b"data: hello\n\n"
            message = Message.text('{"a":1}', event_id="e-7")
            engine.server.publish(list(echo.connections), message)
            assert await response.content.readuntil(b"\n\n") == b'id: e-7\ndata: {"a":1}\n\n'
            assert engine.server.stats().feed_sse == 1
            echo.connections[0].close()
            assert await response.content.read() == b""
        assert echo.notes == ["server disconnect"]

    @pytest.mark.parametrize("front", [True, False])
    async def test_a_reader_that_goes_is_noticed(self, url: Any, front: bool) -> None:
        engine, echo, address = await url(front=front)
        response = await engine.http.get(address)
        await response.content.readuntil(b"\n\n")
        response.close()
        await engine.until(lambda: echo.notes == ["transport close"])
        assert engine.server.stats().clients == 0

    @pytest.mark.parametrize("front", [True, False])
    async def test_a_reader_that_does_not_read_is_cut(self, url: Any, front: bool) -> None:
        engine, echo, _ = await url(front=front, slow_client_timeout=0.3)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", engine.port))
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        await engine.until(lambda: len(echo.connections) == 1)
        for number in range(100):
            engine.server.publish(list(echo.connections), Message.text(f"{number} " + "x" * 60_000, replace_key="k"))
            await asyncio.sleep(0)
        await engine.until(lambda: engine.server.stats().clients == 0)
        assert engine.server.stats().slow_disconnects == 1
        sock.close()

    async def test_caps_and_origins_hold(self, url: Any) -> None:
        engine, _, address = await url(front=True, max_connections=1)
        async with engine.http.get(address, headers={"Origin": "https://evil.example"}) as response:
            assert response.status == 403
        first = await engine.http.get(address)
        async with engine.http.get(address) as response:
            assert response.status == 503
            assert response.headers["Retry-After"]
        first.close()
