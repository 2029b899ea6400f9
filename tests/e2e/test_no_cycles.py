"""What a request used is freed when its connection ends, by reference counting: the garbage collector runs rarely."""

import asyncio
import gc
import socket
import struct
from types import AsyncGeneratorType

import pytest
from aiohttp import web

from pnl_backend.app import running
from pnl_backend.engine.net.accepted import AcceptedConnection
from pnl_backend.engine.net.http import HttpConnection
from pnl_backend.engine.net.pending import PendingConnection
from pnl_backend.errors import PnLError
from pnl_backend.http.middleware import RequestInfo
from pnl_backend.http.runner import _Connection
from pnl_backend.settings import text as config_text
from tests.waiting import until

OURS = (PendingConnection, AcceptedConnection, HttpConnection, _Connection, AsyncGeneratorType, PnLError, RequestInfo)
GET = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"
REQUESTS = {
    "nothing": "",
    "half a head": "GET / HTTP/1.1\r\nHost:",
    "a head without end": "GET / HTTP/1.1\r\n" + "X-Filler: 0123456789\r\n" * 1000,
    "an answer": GET.format("/api/pnl/current"),
    "a refused admin request": "POST /api/cache/clear HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
    "an unknown path": GET.format("/nowhere"),
}
LONG = {
    "exports": GET.format("/api/pnl/export?resolution=raw&from=0") * 400,
    "descriptions": GET.format("/openapi.json") * 40,
}
"""Answers that are longer than every buffer on the way to a client that does not read."""


@pytest.fixture
async def port(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = config_text.load(demo="true", port=0, rate_limit_per_minute=0, log_dir=str(tmp_path / "logs"))
    async with running(settings) as server:
        yield server.port


@pytest.fixture(autouse=True)
def collector():
    """The collector off, and as it was afterwards: the product freezes what was there at its start."""
    threshold = gc.get_threshold()
    gc.disable()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()
    gc.enable()
    gc.collect()


def alive():
    """What connections and requests are made of, as far as it is still there."""
    return [thing for thing in gc.get_objects() if isinstance(thing, OURS)]


async def opened(port):
    """A connection with little room for what comes."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return sock


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def all_freed():
    try:
        await until(lambda: not alive())
    except TimeoutError:
        pytest.fail(f"only the garbage collector can free {sorted({type(thing).__name__ for thing in alive()})}")


@pytest.mark.parametrize("end", [reset, socket.socket.close], ids=["reset", "closed"])
@pytest.mark.parametrize("request_text", REQUESTS.values(), ids=REQUESTS)
async def test_a_connection_is_freed(port, request_text, end):
    loop = asyncio.get_running_loop()
    for _ in range(5):
        sock = await opened(port)
        await loop.sock_sendall(sock, request_text.encode())
        if request_text.endswith("\r\n\r\n"):
            await loop.sock_recv(sock, 100)
        await until(alive)
        end(sock)
    await all_freed()


@pytest.mark.parametrize("end", [reset, socket.socket.close], ids=["reset", "closed"])
@pytest.mark.parametrize("request_text", LONG.values(), ids=LONG)
async def test_an_answer_that_is_not_read_is_freed(port, request_text, end):
    sock = await opened(port)
    await asyncio.get_running_loop().sock_sendall(sock, request_text.encode())
    await until(lambda: any(isinstance(thing, web.RequestHandler) and thing._paused for thing in alive()))
    end(sock)
    await all_freed()


@pytest.mark.parametrize("path", ["/api/pnl/current", "/api/pnl/export?resolution=raw&from=0", "/nowhere"])
async def test_a_request_whose_client_is_gone_before_the_answer_is_freed(port, path):
    for _ in range(50):
        sock = await opened(port)
        await asyncio.get_running_loop().sock_sendall(sock, GET.format(path).encode())
        reset(sock)
        await asyncio.sleep(0)  # the reset comes behind the request in some turns and during it in others
    await all_freed()
