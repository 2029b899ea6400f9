"""Connections that never send a complete request: they end in time, are capped, and harm nobody else."""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pnl_backend.engine import EngineConfig, attach, create_server, listen
from tests.engine.conftest import Running, Start
from tests.engine.socketio.test_fanout import self_signed
from tests.waiting import PATIENCE, until

HEAD = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n"
OPEN = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - nothing but the number is wanted


async def dial(engine: Running, data: bytes = b"") -> Peer:
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(data)
    return reader, writer


async def ended(peer: Peer) -> bytes:
    """What the peer gets until its connection is closed."""
    data = b""
    async with asyncio.timeout(PATIENCE):
        try:
            while part := await peer[0].read(65536):
                data += part
        except ConnectionError:
            pass
    peer[1].close()
    return data


async def answered(peer: Peer) -> bytes:
    """The status line of the next answer, which is read whole."""
    async with asyncio.timeout(PATIENCE):
        head = await peer[0].readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await peer[0].readexactly(int(length.partition(b":")[2]))
    return head.partition(b"\r\n")[0]


class TestHead:
    @pytest.mark.parametrize(
        "sent", [b"", b"\r\n\r\n", b"GET", HEAD, UPGRADE[:-2], b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 2000]
    )
    async def test_that_never_ends(self, start: Start, sent: bytes) -> None:
        engine = await start(head_timeout=0.3)
        peer = await dial(engine, sent)
        assert await ended(peer) == b""
        assert engine.server.stats().head_timeouts == 1
        assert engine.server.stats().unfinished == 0

    async def test_that_comes_byte_by_byte(self, start: Start) -> None:
        engine = await start(head_timeout=0.5)
        peer = await dial(engine)
        async with asyncio.timeout(PATIENCE):
            while not peer[0].at_eof() and peer[0].exception() is None:  # closed, or reset with a byte unread
                peer[1].write(b"G")
                await asyncio.wait({asyncio.ensure_future(peer[0].read(1))}, timeout=0.1)
        assert engine.server.stats().head_timeouts == 1

    async def test_that_is_too_large(self, start: Start) -> None:
        engine = await start(head_timeout=60)
        peer = await dial(engine, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000)
        assert (await ended(peer)).startswith(b"HTTP/1.1 431 ")
        assert engine.server.stats().unfinished == 0

    @pytest.mark.parametrize("sent", [b"GET", HEAD, b"\r\n\r\n"])
    async def test_of_a_further_request(self, start: Start, sent: bytes) -> None:
        engine = await start(head_timeout=0.3)
        peer = await dial(engine, HEAD + b"\r\n")
        assert b" 404 " in await answered(peer)
        assert engine.server.stats().unfinished == 0
        peer[1].write(sent)
        assert await ended(peer) == b""
        assert engine.server.stats().head_timeouts == 1

    async def test_behind_a_request_that_is_being_answered(self, start: Start) -> None:
        release = asyncio.Event()

        async def handler(_: web.Request) -> web.Response:
            await release.wait()
            return web.Response(text="done")

        engine = await start(head_timeout=0.3, route=lambda server, app: app.router.add_get("/slow", handler))
        peer = await dial(engine, b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await engine.until(lambda: engine.server.stats().unfinished == 0)
        peer[1].write(HEAD)
        await asyncio.sleep(0.5)  # a request in hand has no deadline of this kind
        release.set()
        assert (await ended(peer)).endswith(b"done")
        assert engine.server.stats().head_timeouts == 1

    async def test_of_a_further_request_that_is_too_large(self, start: Start) -> None:
        engine = await start(head_timeout=60)
        peer = await dial(engine, HEAD + b"\r\n")
        await answered(peer)
        peer[1].write(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000)
        assert (await ended(peer)).startswith(b"HTTP/1.1 431 ")

    async def test_an_idle_connection_has_no_head_deadline(self, start: Start) -> None:
        engine = await start(head_timeout=0.2)
        peer = await dial(engine)
        for _ in range(2):
            peer[1].write(HEAD + b"\r\n")
            assert b" 404 " in await answered(peer)
            await asyncio.sleep(0.4)  # twice the deadline, idle
        assert engine.server.stats().head_timeouts == 0
        peer[1].close()

    async def test_a_body_that_never_comes(self, start: Start) -> None:
        engine = await start(body_timeout=0.3)
        sid = (await engine.client("polling")).handshake["sid"]
        peer = await dial(
            engine,
            f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\n"
            "Content-Length: 10\r\n\r\n40".encode(),
        )
        assert b" 408 " in await answered(peer)
        await engine.until(lambda: engine.server.stats().clients == 0)
        peer[1].close()


class TestAnswer:
    async def test_that_no_client_reads(self, start: Start) -> None:
        async def handler(_: web.Request) -> web.Response:
            return web.Response(body=b"x" * 32_000_000)

        engine = await start(slow_client_timeout=0.5, route=lambda server, app: app.router.add_get("/large", handler))
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", engine.port))
        sock.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await engine.until(lambda: engine.server.stats().slow_disconnects == 1, 20)
        sock.close()

    async def test_that_is_taken_slowly_but_is_taken(self, start: Start) -> None:
        async def handler(_: web.Request) -> web.Response:
            return web.Response(body=b"x" * 12_000_000)

        engine = await start(slow_client_timeout=0.3, route=lambda server, app: app.router.add_get("/large", handler))
        reader, writer = await dial(engine, b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        size = 0
        async with asyncio.timeout(30):
            while part := await reader.read(500_000):
                size += len(part)
                await asyncio.sleep(0.05)  # a client that is slow, longer in all than the timeout
        assert size > 12_000_000
        writer.close()


class TestCaps:
    @pytest.mark.parametrize("cap", ["max_unfinished", "max_unfinished_per_ip"])
    async def test_the_oldest_connection_is_closed_for_a_new_one(self, start: Start, cap: str) -> None:
        engine = await start(head_timeout=60, **{cap: 3})
        peers = []
        for number in range(4):
            peers.append(await dial(engine))
            await engine.until(lambda number=number: engine.server.stats().unfinished >= min(number + 1, 3))
        assert await ended(peers[0]) == b""
        assert engine.server.stats().shed == 1
        for peer in peers[1:]:
            peer[1].write(OPEN)
            assert b" 200 " in await answered(peer)
            peer[1].close()

    async def test_a_request_sent_at_once_is_served_while_others_wait(self, start: Start) -> None:
        engine = await start(head_timeout=60, max_unfinished_per_ip=10)
        peers = [await dial(engine) for _ in range(200)]
        await engine.connected("websocket")
        await engine.connected("polling")
        await engine.until(lambda: engine.server.stats().unfinished <= 10)
        assert engine.server.stats().shed >= 190
        for peer in peers:
            peer[1].close()

    async def test_a_burst_of_connects_from_one_address_is_served(self, start: Start) -> None:
        """Clients that come back at once, as behind one address, all connect before the first of them sends a head."""
        engine = await start()
        sockets = [socket.create_connection(("127.0.0.1", engine.port)) for _ in range(1_500)]
        await engine.until(lambda: engine.server.stats().unfinished == len(sockets))
        for sock in sockets:
            sock.sendall(HEAD + b"\r\n")
        for sock in sockets:
            sock.setblocking(False)
            async with asyncio.timeout(60):
                assert (await asyncio.get_running_loop().sock_recv(sock, 4096)).startswith(b"HTTP/1.1 404 ")
            sock.close()
        assert engine.server.stats().shed == 0

    async def test_a_connection_with_a_request_is_not_closed_for_a_new_one(self, start: Start) -> None:
        """However many are accepted in the turn of the loop in which it was, before anything was read."""
        engine = await start(head_timeout=60, max_unfinished=3)
        sockets = [socket.create_connection(("127.0.0.1", engine.port)) for _ in range(40)]
        for sock in sockets[:5]:
            sock.sendall(HEAD + b"\r\n")
        for sock in sockets[:5]:
            sock.setblocking(False)
            async with asyncio.timeout(PATIENCE):
                assert (await asyncio.get_running_loop().sock_recv(sock, 4096)).startswith(b"HTTP/1.1 404 ")
        assert engine.server.stats().shed == len(sockets) - 5 - 3
        for sock in sockets:
            sock.close()

    async def test_a_proxy_has_no_cap_of_its_own(self, start: Start) -> None:
        engine = await start(head_timeout=60, max_unfinished_per_ip=2, is_proxy=lambda peer: peer == "127.0.0.1")
        peers = [await dial(engine) for _ in range(5)]
        await engine.until(lambda: engine.server.stats().unfinished == 5)
        for peer in peers:
            peer[1].close()
        await engine.until(lambda: engine.server.stats().unfinished == 0)

    async def test_a_connection_that_cannot_be_taken_is_closed(self, start: Start) -> None:
        failing = [True]

        def group(address: str) -> str:
            if failing[0]:
                raise RuntimeError("as a test wants it")
            return address

        engine = await start(group_address=group)
        assert await ended(await dial(engine)) == b""
        failing[0] = False
        await engine.connected("websocket")


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("data", [b"GET", HEAD, OPEN, UPGRADE, UPGRADE + b"\x81\x82\0\0\0\x0040"])
async def test_data_and_a_reset_at_once(start: Start, data: bytes) -> None:
    """The connection ends and its descriptor serves the next one."""
    engine = await start(ping_interval=60, head_timeout=60)
    before = descriptors()
    for _ in range(20):
        sock = socket.create_connection(("127.0.0.1", engine.port))
        sock.sendall(data)
        reset(sock)  # before the server's loop, which is ours, has had a turn
    sessions = 20 if data == OPEN else 0
    await engine.until(lambda: descriptors() <= before)
    await engine.until(lambda: engine.server.stats().unfinished == 0)
    await engine.until(lambda: engine.server.stats().clients <= sessions)
    clients = [await engine.connected("websocket") for _ in range(20)]
    for client in clients:
        await client.leave()


async def test_a_reset_behind_messages(start: Start) -> None:
    engine = await start(ping_interval=60)
    sock = socket.create_connection(("127.0.0.1", engine.port))
    sock.sendall(UPGRADE + b"\x81\x82\0\0\0\x0040")
    await engine.until(lambda: bool(engine.log))
    sock.sendall(b'\x81\x8f\0\0\0\x0042["message",1]')
    reset(sock)
    await engine.until(lambda: engine.server.stats().clients == 0)
    await (await engine.connected("websocket")).leave()


@asynccontextmanager
async def secure(tmp_path: Path, **config: Any) -> AsyncIterator[Running]:
    key, certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = create_server(EngineConfig(**config))
    app = web.Application()
    attach(server, app)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = await listen(server, runner, host="127.0.0.1", port=0, ssl_context=context)
    yield Running(server, listener.port, None, app, [])  # type: ignore[arg-type] # no client session is needed
    await server.shutdown(2.0)
    await listener.close()
    await runner.cleanup()


class TestTls:
    @pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"])
    async def test_a_handshake_that_never_ends(self, tmp_path: Path, sent: bytes) -> None:
        async with secure(tmp_path, head_timeout=0.3) as engine:
            await ended(await dial(engine, sent))  # whatever the loop opens for itself
            before = descriptors()
            peers = [await dial(engine, sent) for _ in range(5)]
            await asyncio.gather(*map(ended, peers))
            assert engine.server.stats().head_timeouts == 6
            await until(lambda: descriptors() <= before)

    @pytest.mark.parametrize("sent", [b"", HEAD])
    async def test_a_head_that_never_ends(self, tmp_path: Path, sent: bytes) -> None:
        async with secure(tmp_path, head_timeout=0.5) as engine:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            peer = await asyncio.open_connection("127.0.0.1", engine.port, ssl=context)
            peer[1].write(sent)
            assert await ended(peer) == b""
            assert engine.server.stats().head_timeouts == 1
