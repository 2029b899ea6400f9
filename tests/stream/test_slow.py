"""A subscriber that stops reading while two hundred continue: it is disconnected and counted, no other is affected."""

import socket

from pnl_backend.domain.money import number
from tests.stream.readers import Assembler, SocketReader, StreamReader, Subscriber
from tests.stream.stage import staged
from tests.waiting import until

OTHERS = 200
ROUNDS = 60
LIMIT = 1.0
"""Seconds that a client may stay behind on this stage."""


def deaf(port, request):
    """A client with a small window that asks and never reads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.connect(("127.0.0.1", port))
    sock.sendall(request.encode())
    return sock


def upgrade(path):
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )


async def test_a_client_that_stops_reading_is_disconnected_and_no_other_is_affected(tmp_path):
    async with staged(tmp_path / "pnl.db", slow_client_timeout=LIMIT) as stage:
        kinds: list[type[Assembler] | None] = [SocketReader, StreamReader, None]
        others = [Subscriber(recovery=i % 2 == 0) if (kind := kinds[i % 3]) is None else kind() for i in range(OTHERS)]
        for other in others:
            await other.begin(stage.port, remember=False)
        engine = stage.feeds.server.eio
        connections = len(engine.shared.open)
        sockets = [
            deaf(stage.port, upgrade("/pnl-stream")),
            deaf(stage.port, "GET /api/pnl/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ]
        await until(lambda: len(engine.shared.open) == connections + len(sockets))
        slow = stage.feeds.server.stats().slow_disconnects
        waits = 0
        while stage.feeds.server.stats().slow_disconnects < slow + len(sockets):
            # As many as it takes to fill what the kernel holds for a client that does not read, and then the limit.
            await stage.publish(1000 + waits % 7)
            waits += 1
            if waits % ROUNDS == 0:
                newest = stage.newest
                for other in others:
                    await other.until(newest.seq, number(newest.net_pnl))
            for connection in engine.shared.open:
                assert connection.outbox is None or connection.outbox.size <= engine.config.max_queue_bytes
        await stage.publish("4321.00")
        newest = stage.newest
        for other in others:
            await other.until(newest.seq, number(newest.net_pnl))
        assert all(other.announced == 1 for other in others if isinstance(other, Subscriber))
        assert len(engine.shared.open) == connections
        for other in others:
            await other.cut()
        for sock in sockets:
            sock.close()
        await until(lambda: stage.feeds.server.stats().clients == 0)
