"""Clients that stop reading beside a hundred others, on a real server: disconnected, counted, no other is affected."""

import asyncio
import re
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.stream.readers import SocketReader, StreamReader, Subscriber
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import PATIENCE

OTHERS = 99
CONNECTS = ("40/pnl,", "40/components,", "40/dashboard,")
"""To the namespaces that subscribe at once."""
GROWTH = 24 * 1024 * 1024
"""Bytes that the process may grow by while it serves them: what one deaf client could hold alone is 1 MiB."""


@pytest.fixture
async def brisk(tmp_path, simulator):
    """A server that updates often and has little patience."""
    env = {"UPDATE_INTERVAL_MS": "50", "SLOW_CLIENT_TIMEOUT_MS": "1000"}
    server = ServerProcess(tmp_path, **FAST | upstream_env(simulator, simulator.credentials()) | env)
    await server.start()
    yield server
    await server.close()


def frame(text):
    """A short text as a client's frame, under a mask of zeros."""
    return b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text.encode()


def deaf(port, target, *messages):
    """A client with a small window that asks and never reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.connect(("127.0.0.1", port))
    head = (
        f"GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    sock.sendall(head.encode() + b"".join(map(frame, messages)))
    return sock


async def metric(server, name):
    async with aiohttp.ClientSession() as session, session.get(server.url + "/metrics") as answer:
        text = await answer.text()
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def level(server, others):
    """Wait until everybody holds a figure that is the newest, while nothing moves."""
    calm = await server.until(
        "/api/pnl/history?limit=6", lambda a: len({row["netPnL"] for row in a["data"]["data"]}) == 1
    )
    newest = calm["data"]["data"][-1]
    async with asyncio.timeout(PATIENCE):
        for other in others:
            while other.net != newest["netPnL"] or not other.connected:
                assert other.connected, other.task and other.task.exception()
                other.more.clear()
                await other.more.wait()


async def test_clients_that_stop_reading_are_cut_and_counted(brisk, simulator):
    kinds = (SocketReader, StreamReader)
    others = [kinds[i % 3]() if i % 3 < 2 else Subscriber(recovery=i % 2 == 0) for i in range(OTHERS)]
    for other in others:
        await other.begin(brisk.port, remember=False)
    simulator.step(5)
    await level(brisk, others)
    before = resident(brisk.pid)
    sockets = [
        deaf(brisk.port, "/socket.io/?EIO=4&transport=websocket", *CONNECTS),
        deaf(brisk.port, "/pnl-stream"),
    ]
    await brisk.until("/api/health", lambda a: a["connectedClients"] == OTHERS + len(sockets))
    async with asyncio.timeout(30):
        while await metric(brisk, "pnl_slow_clients_total") < len(sockets):
            simulator.step()
            await asyncio.sleep(0.1)
    await brisk.until("/api/health", lambda a: a["connectedClients"] == OTHERS)
    simulator.step(5)
    await level(brisk, others)
    assert resident(brisk.pid) < before + GROWTH
    assert await metric(brisk, "pnl_slow_clients_total") == len(sockets)
    assert await metric(brisk, "pnl_messages_dropped_total") > 0, "what waited was replaced by what was newer"
    # A subscriber fails at the first number that is missing, so each of these had every update, in order.
    assert all(other.announced == 1 for other in others if isinstance(other, Subscriber))
    for other in others:
        await other.cut()
    for sock in sockets:
        sock.close()
    await brisk.until("/api/health", lambda a: a["connectedClients"] == 0)
    assert "Traceback" not in brisk.log
