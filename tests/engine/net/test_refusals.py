"""Refused requests: the answer arrives, however much the client has sent that nobody reads."""

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from tests.engine.conftest import Running, Start
from tests.support.tls import server_context
from tests.waiting import PATIENCE, until

TIMES = 100
UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Origin: https://elsewhere.example\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
LARGE = b"x" * 400_000
REQUESTS = {
    "403": UPGRADE + LARGE,
    "431": b"GET / HTTP/1.1\r\nHost: a\r\nA: " + LARGE,
    "431 of the second request": b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
}


def ask(port: int, kind: str, context: ssl.SSLContext | None) -> str:
    """Send all of a request, then read; the status of the last answer, or the error."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    try:
        if context is not None:
            sock = context.wrap_socket(sock)
        sock.sendall(REQUESTS[kind])
        if "second" in kind:
            while b"404: Not Found" not in sock.recv(4096):
                """The answer to the first."""
            sock.sendall(REQUESTS["431"])
        answer = HTTPResponse(sock)
        answer.begin()
        assert len(answer.read()) == int(answer.headers["Content-Length"])
    except OSError as error:
        return type(error).__name__
    else:
        return str(answer.status)
    finally:
        sock.close()


@pytest.mark.parametrize(
    ("kind", "tls"),
    [("403", False), ("403", True), ("431", False), ("431", True), ("431 of the second request", False)],
)
async def test_the_answer_arrives(start: Start, tmp_path: Path, kind: str, tls: bool) -> None:
    engine = await start(tls=server_context(tmp_path) if tls else None)
    context = None
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    seen: Counter[str] = Counter()
    for _ in range(TIMES):
        seen[await asyncio.to_thread(ask, engine.port, kind, context)] += 1
    assert seen == {kind[:3]: TIMES}


async def refused(engine: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(UPGRADE)
    assert b" 403 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    return reader, writer


def lingering(engine: Running) -> int:
    pending: Any = engine.server.listener.pending
    return len(pending.lingering)


async def test_a_client_that_does_not_close_is_closed(start: Start) -> None:
    engine = await start()
    reader, writer = await refused(engine)
    assert await asyncio.wait_for(reader.read(), PATIENCE) != b"", "the body and the end of the server's half"
    await until(lambda: not lingering(engine))
    assert engine.server.stats().head_timeouts == 0
    writer.close()


@pytest.mark.parametrize("cap", ["max_unfinished", "max_unfinished_per_ip"])
async def test_they_count_as_unfinished_connections(start: Start, cap: str) -> None:
    engine = await start(**{cap: 3})
    peers = [await refused(engine) for _ in range(4)]
    await until(lambda: engine.server.stats().shed == 1)
    assert lingering(engine) == 3
    for peer in peers:
        peer[1].close()
    await until(lambda: not lingering(engine))


async def test_they_end_with_the_listener(start: Start) -> None:
    engine = await start()
    reader, writer = await refused(engine)
    pending: Any = engine.server.listener.pending
    pending.close_all()
    assert not lingering(engine)
    await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()


async def test_many_of_one_address_that_are_refused_at_once_are_answered_or_closed(start: Start) -> None:
    """To make room for one that is refused, another is read, which may be refused in turn."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="ERROR")
    engine = await start(max_unfinished_per_ip=5, head_timeout=60)
    sockets = [socket.create_connection(("127.0.0.1", engine.port)) for _ in range(1_500)]
    for sock in sockets:
        sock.sendall(UPGRADE)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE):
        for sock in sockets:
            sock.setblocking(False)
            with contextlib.suppress(ConnectionResetError):
                await loop.sock_recv(sock, 4096)
            sock.close()
    logger.remove(sink)
    assert lines == []
