"""How connections end: the client gets our close frame with its code, whatever it did and whatever carries it."""

import asyncio
import contextlib
import json
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets

from tests.engine.client import PollingClient, WebSocketClient
from tests.engine.conftest import Running, Start
from tests.support.node import needs_node, run_script
from tests.support.tls import server_context
from tests.waiting import PATIENCE

EACH = 25
"""Connections for each kind of error: a race between our close frame and the end shows in some of them."""
WIDTH = 5
"""Connections of each kind at a time."""

ERRORS = [(b"4abc", 1), (b"42\xff", 1), (b"4", 20_000), (b"4", 300_000)]
"""Sent as text behind a CONNECT, and how often in one message: a Socket.IO packet type that is none, text that is not
UTF-8, a message that is too big, and one that is so by far."""
EXPECTED = {1008: EACH, 1007: EACH, 1009: 2 * EACH}

WAYS = ["front", "aiohttp", "front over TLS", "aiohttp over TLS"]


@pytest.fixture(params=WAYS)
async def server(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> Running:
    """A server by each way in, at the product's own limits."""
    tls = server_context(tmp_path) if "TLS" in request.param else None
    return await start(front="front" in request.param, tls=tls, ping_interval=25, ping_timeout=20)


def url(server: Running) -> str:
    return f"{server.base.replace('http', 'ws', 1)}?EIO=4&transport=websocket"


async def with_aiohttp(server: Running, payload: bytes) -> int | None:
    client = await server.connected("websocket")
    await client.ws.send_frame(payload, aiohttp.WSMsgType.TEXT)
    await client.until_closed()
    return client.close_code


async def with_aiohttp_reading_late(server: Running, payload: bytes) -> int | None:
    """The close frame has arrived, with whatever follows it, before the client reads."""
    client = await server.connected("websocket")
    errors = server.server.stats().protocol_errors
    await client.ws.send_frame(payload, aiohttp.WSMsgType.TEXT)
    await server.until(lambda: server.server.stats().protocol_errors > errors)
    for _ in range(20):
        await asyncio.sleep(0)
    await client.until_closed()
    return client.close_code


async def with_websockets(server: Running, payload: bytes) -> int | None:
    tls = None
    if server.scheme == "https":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    async with websockets.connect(url(server), ssl=tls, compression=None, proxy=None) as ws:
        await ws.recv()
        await ws.send("40")
        await ws.recv()
        await ws.send(payload, text=True)
        await ws.wait_closed()
        return ws.close_code


NODE = """
import WebSocket from "ws";
const [url, kinds, each, width] = process.argv.slice(1);
const one = (payload) => new Promise((resolve, reject) => {
  const ws = new WebSocket(url, { rejectUnauthorized: false });
  let messages = 0;
  ws.on("message", () => { messages++ ? ws.send(payload, { binary: false }) : ws.send("40"); });
  ws.on("error", reject);
  ws.on("close", resolve);
});
await Promise.all(JSON.parse(kinds).map(async ([text, times]) => {
  const payload = Buffer.alloc(times * text.length / 2, text, "hex");
  let left = +each;
  const worker = async () => { while (left-- > 0) console.log(JSON.stringify([await one(payload)])); };
  await Promise.all(Array.from({ length: +width }, worker));
}));
process.exit(0);
"""


async def repeated(server: Running, client: Any) -> Counter[int | None]:
    codes: Counter[int | None] = Counter()

    async def run(payload: bytes) -> None:
        for _ in range(EACH // WIDTH):
            codes[await client(server, payload)] += 1

    await asyncio.gather(*(run(text * times) for text, times in ERRORS for _ in range(WIDTH)))
    return codes


class TestProtocolErrors:
    @pytest.mark.parametrize("client", [with_aiohttp, with_aiohttp_reading_late, with_websockets])
    async def test_the_client_gets_the_close_code(self, server: Running, client: Any) -> None:
        assert await repeated(server, client) == EXPECTED
        await server.until(lambda: not server.server.eio.shared.open)
        assert server.server.stats().protocol_errors == EACH * len(ERRORS)

    @needs_node
    async def test_the_javascript_client_gets_the_close_code(self, server: Running) -> None:
        kinds = json.dumps([[text.hex(), times] for text, times in ERRORS])
        seen = await run_script(NODE, url(server), kinds, str(EACH), str(WIDTH))
        assert Counter(code for (code,) in seen) == EXPECTED


UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame of less than 126 bytes, under a mask of zeros."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + b"\0\0\0\0" + payload


BAD = masked(1, b"4abc")
CLOSE_1008 = bytes((0x88, 2 + len("unknown packet type"))) + (1008).to_bytes(2, "big") + b"unknown packet type"


async def connected(engine: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare socket, connected to the default namespace."""
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(UPGRADE + masked(1, b"40"))
    await asyncio.wait_for(reader.readuntil(b'40{"sid"'), PATIENCE)
    await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE)
    return reader, writer


class TestWhatThePeerDoesThen:
    async def test_its_own_close_frame_came_with_the_error(self, engine: Running) -> None:
        reader, writer = await connected(engine)
        writer.write(BAD + masked(8, (1000).to_bytes(2, "big")))
        assert await asyncio.wait_for(reader.read(), PATIENCE) == CLOSE_1008
        assert not engine.server.eio.shared.open
        writer.close()

    @pytest.mark.parametrize("behind", [b"", masked(1, b"42" * 30) * 50, b"\x81\xff" + b"\xff" * 300])
    async def test_it_never_answers(self, engine: Running, behind: bytes) -> None:
        reader, writer = await connected(engine)
        writer.write(BAD + behind)
        assert await asyncio.wait_for(reader.read(), PATIENCE) == CLOSE_1008, "then the end of our half"
        await engine.until(lambda: not engine.server.eio.shared.open)
        writer.close()

    async def test_it_reads_after_it_has_sent_much_more(self, engine: Running) -> None:
        reader, writer = await connected(engine)
        writer.write(BAD)
        for _ in range(64):
            writer.write(masked(2, b"x" * 100) * 300)
            await writer.drain()
        writer.write(masked(8, b""))
        assert await asyncio.wait_for(reader.read(), PATIENCE) == CLOSE_1008
        writer.close()

    async def test_half_of_its_close_frame_comes_first(self, engine: Running) -> None:
        reader, writer = await connected(engine)
        writer.write(b"\xc1\xfe\x00\xff")
        await asyncio.wait_for(reader.readuntil(b"reserved bits are set"), PATIENCE)
        for part in (b"\0\0\0\0" + b"\x88" * 250, b"\x88" * 5 + b"\x88", b"\x80\0\0\0\0"):
            writer.write(part)
            await writer.drain()
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        assert not engine.server.eio.shared.open
        writer.close()


async def test_a_client_that_is_not_read_gets_the_close_frame(start: Start) -> None:
    """Its handlers are as many as may run at once: what it sends waits unread in the socket."""
    engine = await start(max_pending_handlers=1, ping_interval=25)
    gate = asyncio.Event()

    @engine.server.on("work")
    async def work(sid: str) -> None:
        await gate.wait()

    client = await engine.connected("websocket")
    await client.send(*['42["work"]'] * 2000)
    (session,) = engine.server.clients.values()
    await engine.until(lambda: session.connection is not None and session.connection.halted)
    await engine.server.eio.disconnect()
    await client.until_closed()
    assert client.close_code == 1000
    gate.set()


async def test_the_close_frame_follows_what_still_waits(start: Start) -> None:
    engine = await start(ping_interval=25)
    client = await engine.connected("websocket")
    (session,) = engine.server.clients.values()
    while session.connection is None or session.connection.outbox is None:
        await engine.server.emit("filler", "x" * 50_000)
    await engine.server.eio.disconnect()
    await client.until_closed()
    assert client.close_code == 1000


async def test_a_shutdown_keeps_no_session_of_a_client_that_is_gone(engine: Running) -> None:
    """A polling client that never fetches its CLOSE packet, and one with an open poll."""
    clients = [await engine.connected("polling") for _ in range(2)]
    await engine.server.emit("last", 1)
    poll = asyncio.create_task(clients[1].poll())
    assert (await poll)[0] == 200
    await engine.server.shutdown(2.0)
    server = engine.server
    assert server.clients == {}
    assert server.environ == {}
    assert server.manager.members.get("/", {}) == {}
    assert not any(len(queue) for queue in server.eio.shared.timers.queues)


class TestFragments:
    """A message may come in as many fragments as it may have bytes, and one more that is empty."""

    @pytest.mark.parametrize("limit", [16 * 1024, 64 * 1024])
    async def test_a_message_in_fragments_of_a_byte(self, start: Start, limit: int) -> None:
        engine = await start(ping_interval=25, max_http_buffer_size=limit)
        async with websockets.connect(url(engine), compression=None, proxy=None, max_size=None) as ws:
            await ws.recv()
            await ws.send("40")
            await ws.recv()
            text = "x" * (limit - len('42["message",""]'))
            await ws.send(iter(f'42["message","{text}"]'))
            assert await ws.recv() == f'42["message-back","{text}"]'
            await ws.send([""] * limit)
            await ws.send('42["message",2]')
            await ws.wait_closed()
            assert ws.close_code == 1008, "an empty Engine.IO packet"

    async def test_one_fragment_too_many(self, start: Start) -> None:
        engine = await start(ping_interval=25)
        async with websockets.connect(url(engine), compression=None, proxy=None) as ws:
            await ws.recv()
            await ws.send("40")
            await ws.recv()
            with contextlib.suppress(websockets.ConnectionClosed):
                await ws.send([""] * (16 * 1024 + 1))
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (1008, "too many fragments")


class TestDisconnectedDuringAnUpgrade:
    """A polling client that the server disconnects while its WebSocket is being probed."""

    @staticmethod
    async def probing(engine: Running) -> tuple[PollingClient, WebSocketClient]:
        """A connected client for which an event waits, and the WebSocket that it means to move to."""
        client = await engine.connected("polling")
        probe = WebSocketClient(engine.http, engine.base)
        await probe.dial(f"EIO=4&transport=websocket&sid={client.handshake['sid']}")
        await engine.server.emit("last", 1)
        return client, probe

    @staticmethod
    async def nothing_is_left(engine: Running) -> None:
        await engine.until(lambda: not engine.server.eio.shared.open)
        assert not engine.server.eio.sessions
        assert not engine.server.eio.probing

    async def test_it_upgrades_and_gets_what_waits_and_the_close(self, start: Start) -> None:
        engine = await start(ping_interval=25)
        client, probe = await self.probing(engine)
        await probe.send("2probe")
        assert await probe.raw() == "3probe"
        await engine.server.eio.disconnect()
        assert await client.poll() == (200, "6")
        await probe.send("5")
        assert [await probe.raw(), await probe.raw()] == ['42["last",1]', "1"]
        await probe.until_closed()
        assert probe.close_code == 1000
        await self.nothing_is_left(engine)

    async def test_it_polls_and_its_websocket_is_closed(self, start: Start) -> None:
        engine = await start(ping_interval=25)
        client, probe = await self.probing(engine)
        await engine.server.eio.disconnect()
        assert await client.poll() == (200, '42["last",1]\x1e1')
        await probe.until_closed()
        await self.nothing_is_left(engine)

    async def test_it_does_neither_in_time(self, start: Start) -> None:
        engine = await start(ping_interval=25, upgrade_timeout=60)
        engine.server.eio.departing.delay = 0.05
        _, probe = await self.probing(engine)
        await probe.send("2probe")
        assert await probe.raw() == "3probe"
        await engine.server.eio.disconnect()
        await probe.until_closed()
        await self.nothing_is_left(engine)
