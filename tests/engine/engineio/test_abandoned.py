"""Sessions that are left behind in each state end within interval + timeout, and give back what they held."""

import asyncio
import gc
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.engine import Environ
from pnl_backend.engine.engineio.session import Session
from pnl_backend.engine.engineio.upgrade import Probe
from pnl_backend.engine.net.connection import Connection, Outbox
from pnl_backend.engine.socketio.rooms import Member
from tests.engine.conftest import Running, Start, serving

SESSIONS = int(os.environ.get("ABANDONED_SESSIONS", "1000"))
INTERVAL, TIMEOUT = 0.6, 0.6

UPGRADE = (
    "GET /socket.io/?EIO=4&transport=websocket{sid} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
POLLING = "GET /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: a\r\n\r\n"


def text(payload: str) -> bytes:
    return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload.encode()


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        part = sock.recv(4096)
        assert part, data
        data += part
    return data


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def polling(port: int) -> tuple[socket.socket, str]:
    sock = dial(port)
    sock.sendall(POLLING.format(sid="").encode())
    sid = read_until(sock, b"}").partition(b'"sid":"')[2].partition(b'"')[0].decode()
    return sock, f"&sid={sid}"


def post(sock: socket.socket, sid: str, body: str) -> None:
    head = f"POST /socket.io/?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall((head + body).encode())
    read_until(sock, b"ok")


def leave_polling(port: int) -> list[socket.socket]:
    """Connected, then never polled again."""
    sock, sid = polling(port)
    post(sock, sid, "40")
    sock.close()
    return []


def leave_poll_pending(port: int) -> list[socket.socket]:
    """A poll is open and stays so; nobody is behind it."""
    sock, sid = polling(port)
    post(sock, sid, "40")
    sock.sendall(POLLING.format(sid=sid).encode())
    return [sock]


def leave_probing(port: int) -> list[socket.socket]:
    """The probe was answered; the upgrade never comes, nor a pong."""
    sock, sid = polling(port)
    post(sock, sid, "40")
    probe = dial(port)
    probe.sendall(UPGRADE.format(sid=sid).encode() + text("2probe"))
    read_until(probe, b"3probe")
    sock.close()
    return [probe]


def leave_upgraded(port: int) -> list[socket.socket]:
    """On WebSocket by way of polling, then silent."""
    sock, sid = polling(port)
    post(sock, sid, "40")
    probe = dial(port)
    probe.sendall(UPGRADE.format(sid=sid).encode() + text("2probe"))
    read_until(probe, b"3probe")
    probe.sendall(text("5"))
    sock.close()
    return [probe]


def leave_half_open(port: int) -> list[socket.socket]:
    """A WebSocket whose client has gone without a word, as behind a proxy that keeps its side open."""
    sock = dial(port)
    sock.sendall(UPGRADE.format(sid="").encode() + text("40"))
    read_until(sock, b'40{"sid"')
    return [sock]


def leave_cut(port: int) -> list[socket.socket]:
    """A WebSocket that is reset."""
    sock = leave_half_open(port)[0]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    return []


OURS = (Session, Probe, Member, Connection, Outbox, Environ)
STATES = [leave_polling, leave_poll_pending, leave_probing, leave_upgraded, leave_half_open, leave_cut]


async def abandon(engine: Running, leave: Any, count: int) -> None:
    def run() -> list[socket.socket]:
        return [sock for _ in range(count) for sock in leave(engine.port)]

    sockets = await asyncio.to_thread(run)
    # A session that just was given a ping has the timeout left; one that was not, interval and timeout.
    await engine.until(lambda: engine.server.stats().clients == 0, INTERVAL + TIMEOUT + 1.0)
    for sock in sockets:
        sock.close()
    await engine.until(lambda: not engine.server.environ)
    await engine.until(lambda: not engine.server.eio.shared.open)
    await engine.until(lambda: not serving())
    engine.log.clear()
    gc.collect()


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.slow
@pytest.mark.timeout(100)
@pytest.mark.parametrize("leave", STATES, ids=lambda leave: leave.__name__)
async def test_abandoned_sessions_are_cleared_away(start: Start, leave: Any) -> None:
    engine = await start(
        ping_interval=INTERVAL,
        ping_timeout=TIMEOUT,
        connect_timeout=60,
        max_connections_per_ip=0,
        max_unauthenticated=0,
        max_unauthenticated_per_ip=0,
    )
    # The first round lets tables grow to the size which they then keep.
    await abandon(engine, leave, SESSIONS)
    before = resident_pages()
    await abandon(engine, leave, SESSIONS)
    after = resident_pages()
    server = engine.server
    assert server.manager.members.get("/", {}) == {}
    assert server.clients == {}
    assert not any(len(queue) for queue in server.eio.shared.timers.queues)
    assert [thing for thing in gc.get_objects() if isinstance(thing, OURS)] == []
    assert after < before * 1.05
