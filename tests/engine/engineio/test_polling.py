"""Long polling at its edges: requests that overlap, clients that go while they wait; and what Node does."""

import asyncio
import shutil
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.engine.client import PollingClient, WebSocketClient
from tests.engine.conftest import Running
from tests.support.node import needs_node, node_modules
from tests.waiting import PATIENCE


def sessions(engine: Running) -> list[Any]:
    return list(engine.server.clients.values())


async def opened(port: int, client: PollingClient, method: str, head: str = "") -> asyncio.StreamWriter:
    """A request of the session over a connection of its own, with nothing behind its head."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    path = client.url.partition(str(port))[2]
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode())
    await writer.drain()
    return writer


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset."""
    writer.get_extra_info("socket").setsockopt(1, 13, struct.pack("ii", 1, 0))
    writer.close()


class TestTwoPosts:
    async def test_while_the_body_of_the_first_is_to_come(self, engine: Running) -> None:
        client = await engine.connected("polling")
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        path = client.url.partition(str(engine.port))[2]
        writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n42".encode())
        await engine.until(lambda: sessions(engine)[0].body is not None)
        assert (await client.post('42["message",1]'))[0] == 400
        assert not sessions(engine)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 400"), "the first is not left to wait for its body"
        assert (await client.poll())[0] == 400
        await engine.until(lambda: len(engine.log) == 2)
        assert engine.log[1][2] == "transport error"
        writer.close()

    async def test_while_the_handlers_of_the_first_are_as_many_as_may_run(self, start: Any) -> None:
        engine = await start(max_pending_handlers=1, ping_interval=25)
        gate = asyncio.Event()

        @engine.server.on("work")
        async def work(sid: str) -> None:
            await gate.wait()

        client = await engine.connected("polling")
        first = asyncio.create_task(client.post('42["work"]'))
        await engine.until(lambda: sessions(engine)[0].backlog_done is not None)
        assert (await client.post('42["work"]'))[0] == 400
        assert not sessions(engine)
        await asyncio.wait_for(first, PATIENCE)
        gate.set()

    async def test_the_pending_poll_ends_with_close(self, engine: Running) -> None:
        client = await engine.connected("polling")
        poll = asyncio.create_task(client.poll())
        writer = await opened(engine.port, client, "POST", "Content-Length: 20\r\n")
        await engine.until(lambda: sessions(engine)[0].body is not None and sessions(engine)[0].poll is not None)
        assert (await client.post('42["message",1]'))[0] == 400
        assert await poll == (200, "1")
        writer.close()

    async def test_one_behind_the_other_is_no_overlap(self, engine: Running) -> None:
        client = await engine.connected("polling")
        for number in range(50):
            assert await client.post(f'42["message",{number}]') == (200, "ok")
        assert [await client.packet() for _ in range(50)] == [f'42["message-back",{n}]' for n in range(50)]

    async def test_a_client_that_disconnects_before_its_body_has_arrived(self, engine: Running) -> None:
        client = await engine.connected("polling")
        writer = await opened(engine.port, client, "POST", "Content-Length: 20\r\n")
        await engine.until(lambda: sessions(engine)[0].body is not None)
        reset(writer)
        await engine.until(lambda: not sessions(engine))
        await engine.until(lambda: len(engine.log) == 2)
        assert engine.log[1][2] == "transport close"


class TestAbortedPoll:
    """Pings are 25 s apart here: none of them is what shows that the client has gone."""

    @pytest.fixture(params=["front", "aiohttp"])
    async def patient(self, request: pytest.FixtureRequest, start: Any) -> Running:
        return await start(front=request.param == "front", ping_interval=25, ping_timeout=20)

    @pytest.mark.parametrize("end", [reset, asyncio.StreamWriter.close, asyncio.StreamWriter.write_eof])
    async def test_the_session_ends_at_once(self, patient: Running, end: Any) -> None:
        client = await patient.connected("polling")
        writer = await opened(patient.port, client, "GET")
        await patient.until(lambda: sessions(patient)[0].poll is not None)
        end(writer)
        await patient.until(lambda: not sessions(patient))
        await patient.until(lambda: len(patient.log) == 2)
        assert patient.log[1][2] == "transport close"
        assert (await client.poll())[0] == 400, "the client knows, and what it has missed is its to ask for"
        writer.close()

    async def test_a_poll_that_is_answered_leaves_the_connection_to_the_next_request(self, patient: Running) -> None:
        """Over one kept-alive connection, with the next request sent before the answer to the first."""
        client = await patient.connected("polling")
        reader, writer = await asyncio.open_connection("127.0.0.1", patient.port)
        path = client.url.partition(str(patient.port))[2]
        poll = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        writer.write(poll)
        await patient.until(lambda: sessions(patient)[0].poll is not None)
        writer.write(poll)
        for number in range(20):
            await patient.server.emit("n", number)
            body = await asyncio.wait_for(reader.readuntil(b"]"), PATIENCE)
            assert body.endswith(f'42["n",{number}]'.encode())
            writer.write(poll)
        await patient.until(lambda: sessions(patient)[0].poll is not None)
        writer.close()
        await patient.until(lambda: not sessions(patient))


class TestSecondWebSocket:
    @pytest.mark.parametrize("state", ["upgrading", "upgraded", "websocket"])
    async def test_it_is_accepted_and_closed(self, engine: Running, state: str) -> None:
        client = await engine.client(state)
        second = WebSocketClient(engine.http, engine.base)
        await second.dial(f"EIO=4&transport=websocket&sid={client.handshake['sid']}")
        await second.until_closed()
        assert second.close_code == 1008
        assert engine.server.stats().refused == 1
        await client.send("40")
        assert str(await client.packet()).startswith("40{"), "the session goes on"

    async def test_what_a_further_websocket_sends_is_ignored(self, engine: Running) -> None:
        client = await engine.connected("websocket")
        second = WebSocketClient(engine.http, engine.base)
        await second.dial(f"EIO=4&transport=websocket&sid={client.handshake['sid']}")
        await second.send('42["message",1]')
        await second.until_closed()
        await client.send('42["message",2]')
        assert await client.packet() == '42["message-back",2]'


@pytest.fixture
async def node() -> AsyncIterator[int]:
    """The port of Node's server."""
    assert shutil.which("node")
    process = await asyncio.create_subprocess_exec(
        "node", "server.js", cwd=node_modules(), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    yield int(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
    process.kill()
    await process.wait()


async def refused(client: PollingClient) -> int:
    """Post until that is refused: the other request comes over a connection of its own, so later or sooner."""
    async with asyncio.timeout(PATIENCE):
        while (status := (await client.post("3"))[0]) == 200:
            pass
    return status


async def edges(http: aiohttp.ClientSession, port: int) -> dict[str, Any]:
    """What a server does at the edges that this module is about."""
    base = f"http://127.0.0.1:{port}/socket.io/"
    seen: dict[str, Any] = {}
    client = await PollingClient(http, base).open()
    first = await opened(port, client, "POST", "Content-Length: 20\r\n")
    status = await refused(client)
    seen["two posts"] = status, (await client.poll())[0]
    first.close()
    client = await PollingClient(http, base).open()
    await client.post("40")
    await client.poll()
    writer = await opened(port, client, "GET")
    writer.close()
    status = await refused(client)
    seen["aborted poll"] = status
    probe = WebSocketClient(http, base)
    client = await PollingClient(http, base).open()
    await probe.dial(f"EIO=4&transport=websocket&sid={client.handshake['sid']}")
    await probe.send("2probe")
    await probe.raw()
    for state in ("upgrading", "upgraded"):
        second = WebSocketClient(http, base)
        await second.dial(f"EIO=4&transport=websocket&sid={client.handshake['sid']}")
        await second.until_closed()
        seen[f"second WebSocket, {state}"] = "closed"
        if state == "upgrading":
            await probe.send("5", "40")
            while not str(await probe.packet()).startswith("40{"):
                pass
    await probe.leave()
    return seen


@needs_node
async def test_node_does_the_same(engine: Running, node: int) -> None:
    theirs = await edges(engine.http, node)
    assert await edges(engine.http, engine.port) == theirs
    assert theirs["two posts"] == (400, 400)
