"""A client that resets its connection at any moment: no error in the log, and no other client is affected."""

from __future__ import annotations

import asyncio
import base64
import socket
import struct

import aiohttp
import pytest

from tests.support.server import FAST, ServerProcess
from tests.waiting import PATIENCE

UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
)
EXPORT = "/api/pnl/export?from=0&resolution=raw&format=json"
HOLDS = {
    "a request's head": "GET /api/pnl/current HTTP/1.1\r\nHos",
    "a request's body": "POST /api/cache/clear HTTP/1.1\r\nHost: x\r\nX-API-Key: adm\r\nContent-Length: 500\r\n\r\n{",
    "REST": "GET /api/pnl/current HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
    "an export": f"GET {EXPORT} HTTP/1.1\r\nHost: x\r\n\r\n" * 5,
    "the page": "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /docs HTTP/1.1\r\nHost: x\r\n\r\n",
    "an event stream": "GET /api/pnl/stream HTTP/1.1\r\nHost: x\r\n\r\n",
    "the handshake of polling": "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
    "Socket.IO over WebSocket": f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n",
    "the ledger feed": f"GET /ws HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n",
    "the dashboard feed": f"GET /pnl-stream HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n",
}
CONNECT = b"\x81\x82\x00\x00\x00\x0040"  # a masked text frame: Socket.IO's CONNECT


@pytest.fixture
async def server(tmp_path):
    process = await ServerProcess(tmp_path, **FAST, ADMIN_API_KEY="adm", LOG_LEVEL="debug").start()
    yield process
    await process.close()


async def opened(server):
    """A connection with little room for what comes, so that answers are still on their way when it is reset."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
    return sock


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def hold(server, request, *, read, then=b""):
    """Send a request, read some of what comes or nothing, and reset."""
    loop = asyncio.get_running_loop()
    sock = await opened(server)
    await loop.sock_sendall(sock, request.encode())
    if read:
        async with asyncio.timeout(PATIENCE):
            await loop.sock_recv(sock, 100)
            if then:
                await loop.sock_sendall(sock, then)
                await loop.sock_recv(sock, 10)
    reset(sock)


async def long_poll(server):
    """A session whose poll waits for the next update when the client resets it, and then the same inside a POST."""
    loop = asyncio.get_running_loop()
    address = f"{server.url}/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        opening = await answer.text()
    sid = opening.split('"sid":"')[1].split('"')[0]
    path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
    for request in (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40",
        f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n42",
    ):
        sock = await opened(server)
        await loop.sock_sendall(sock, request.encode())
        await asyncio.sleep(0)
        reset(sock)


@pytest.mark.parametrize("what", [*HOLDS, "a long poll"])
async def test_a_reset_is_no_error_in_the_log(server, what):
    for turn in range(10):
        if what == "a long poll":
            await long_poll(server)
        else:
            awaited = what not in ("a request's head", "a request's body") and turn % 2 == 0
            await hold(server, HOLDS[what], read=awaited, then=CONNECT if "Socket.IO" in what else b"")
    assert (await server.get("/api/pnl/current"))["success"]
    assert await server.stop() == 0
    complaints = [line for line in server.log.splitlines() if "ERROR" in line or "CRITICAL" in line]
    assert (complaints, "Traceback" in server.log) == ([], False)
    assert (server.directory / "logs" / "error.log").read_text() == ""
