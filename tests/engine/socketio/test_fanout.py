"""Broadcasts: one order on every path, nothing lost, bounded memory, slow clients cut."""

import asyncio
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio
from aiohttp import web

from pnl_backend.engine import EngineConfig, Message, attach, create_server, listen
from pnl_backend.engine.limits import CHUNK
from pnl_backend.engine.socketio.fanout import Fanout
from tests.engine.client import Closed, UpgradingClient, WebSocketClient
from tests.engine.conftest import Running, Start
from tests.support.tls import self_signed
from tests.waiting import PATIENCE


async def numbers(client: Any, count: int) -> list[int]:
    """The first argument of each of the next events."""
    got: list[int] = []
    while len(got) < count:
        packet = str(await client.packet())
        if packet.startswith("42"):
            got.append(json.loads(packet[2:])[1])
    return got


class TestOrder:
    @pytest.mark.parametrize("front", [True, False])
    async def test_ten_thousand_numbered_events_on_both_paths(self, start: Start, front: bool) -> None:
        """Broadcasts and direct messages, interleaved, faster than the clients read."""
        engine = await start(front=front, ping_interval=60, max_queue_events=20_000)
        client = await engine.connected("websocket")
        sid = engine.log[0][1]
        others = [await engine.connected("websocket") for _ in range(8)]
        sids = [entry[1] for entry in engine.log]
        for each in sids:
            await engine.server.enter_room(each, "all")
        reading = asyncio.create_task(numbers(client, 10_000))
        draining = [asyncio.create_task(numbers(other, 6_666)) for other in others]
        pending: list[asyncio.Task[None]] = []
        for number in range(10_000):
            if number % 3 == 0:
                await engine.server.emit("n", number, to=sid)
            elif number % 3 == 1:
                await engine.server.broadcast("n", number, room="all")
            else:
                pending.append(asyncio.create_task(engine.server.broadcast("n", number, room="all")))
                await asyncio.sleep(0)
        await asyncio.gather(*pending)
        assert await asyncio.wait_for(reading, 60) == list(range(10_000))
        expected = [number for number in range(10_000) if number % 3]
        assert await asyncio.wait_for(asyncio.gather(*draining), 60) == [expected] * len(others)

    @pytest.mark.parametrize("front", [True, False])
    async def test_polling_upgrading_and_websocket_clients_get_the_same(self, start: Start, front: bool) -> None:
        engine = await start(front=front, max_queue_events=2000)
        clients = {kind: await engine.connected(kind) for kind in ("polling", "websocket", "upgraded")}
        upgrading = await UpgradingClient(engine.http, engine.base).open()
        await upgrading.post("40")
        await engine.until(lambda: len(engine.log) == 4)
        sent = 600
        reading = {kind: asyncio.create_task(numbers(client, sent)) for kind, client in clients.items()}
        for number in range(sent):
            await engine.server.broadcast("n", number)
            if number == sent // 2:
                reading["upgrading"] = asyncio.create_task(numbers(await upgrading.upgrade(), sent))
            if number % 50 == 0:
                await asyncio.sleep(0.001)
        for kind, task in reading.items():
            assert await asyncio.wait_for(task, PATIENCE) == list(range(sent)), kind

    async def test_a_direct_message_never_overtakes_a_broadcast_under_way(self) -> None:
        class Taker:
            connection = None
            variant = 0

            def __init__(self) -> None:
                self.got: list[Message] = []

            def deliver(self, message: Message) -> None:
                self.got.append(message)

        fanout = Fanout(create_server().eio.shared.counters)
        takers = [Taker() for _ in range(CHUNK * 3)]
        first, second, direct = Message(("1",)), Message(("2",)), Message(("3",))
        broadcasts = [fanout.publish(takers, [first, first]), fanout.publish(takers, [second, second])]
        assert takers[-1].got == []
        fanout.settle(takers[-1])
        takers[-1].deliver(direct)
        fanout.settle(takers[0])
        takers[0].deliver(direct)
        for broadcast in broadcasts:
            assert broadcast.done is not None
            await broadcast.done
        assert takers[-1].got == [first, second, direct]
        assert takers[0].got == [first, second, direct]
        assert all(taker.got == [first, second] for taker in takers[1:-1])
        assert not fanout.active

    async def test_a_cancelled_emit_still_reaches_everyone(self, start: Start) -> None:
        engine = await start(max_connections_per_ip=0)
        clients = [await engine.connected("websocket") for _ in range(CHUNK + 10)]
        emit = asyncio.create_task(engine.server.broadcast("n", 7))
        await asyncio.sleep(0)
        emit.cancel()
        for client in clients:
            assert await numbers(client, 1) == [7]

    async def test_long_broadcasts_yield(self, start: Start) -> None:
        engine = await start(max_connections_per_ip=0)
        clients = [await engine.connected("websocket") for _ in range(CHUNK + 1)]
        turns: list[int] = []
        broadcast = asyncio.create_task(engine.server.broadcast("n", 1))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(turns.append, 1)
        await broadcast
        assert turns
        assert await numbers(clients[-1], 1) == [1]

    async def test_variants_and_skipping(self, engine: Running) -> None:
        clients = [await engine.connected("websocket") for _ in range(3)]
        sids = [entry[1] for entry in engine.log]
        member = engine.server.manager.find(sids[1], "/")
        assert member is not None
        member.variant = 1
        await engine.server.broadcast("e", ("a", {"b": 1}), skip_sid=sids[2], offset="o")
        await engine.server.broadcast("e", None)
        assert await clients[0].packet() == '42["e","a",{"b":1}]'
        assert await clients[1].packet() == '42["e","a",{"b":1},"o"]'
        assert await clients[2].packet() == '42["e"]'

    async def test_rooms(self, engine: Running) -> None:
        clients = [await engine.connected("websocket") for _ in range(3)]
        sids = [entry[1] for entry in engine.log]
        await engine.server.enter_room(sids[0], "a")
        await engine.server.enter_room(sids[1], "b")
        await engine.server.broadcast("n", 1, room=["a", "b"])
        await engine.server.leave_room(sids[0], "a")
        await engine.server.broadcast("n", 2, room="a")
        await engine.server.broadcast("n", 3)
        assert await numbers(clients[0], 2) == [1, 3]
        assert await numbers(clients[1], 2) == [1, 3]
        assert await numbers(clients[2], 1) == [3]


def stuck(engine: Running, *, path: str = "/socket.io/?EIO=4&transport=websocket") -> socket.socket:
    """A raw client with a small window, which will read only when told to."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", engine.port))
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{engine.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        + b"\x81\x82\0\0\0\x0040"
    )
    return sock


class TestSlowClients:
    @pytest.mark.parametrize("front", [True, False])
    async def test_the_newest_snapshot_replaces_what_waits(self, start: Start, front: bool) -> None:
        engine = await start(front=front, ping_interval=60)
        sock = stuck(engine)
        await engine.until(lambda: len(engine.log) == 1)
        big = "x" * 50_000
        for number in range(300):
            await engine.server.broadcast("pnl", [number, big], replace_key="pnl")
        await engine.server.broadcast("other", 1)
        (client,) = engine.server.clients.values()
        assert client.connection is not None
        assert client.connection.outbox is not None
        assert len(client.connection.outbox.messages) == 2, "one snapshot, one event"
        assert engine.server.stats().dropped > 200
        reader, writer = await asyncio.open_connection(sock=sock)
        received = b""
        while b'["other",1]' not in received:
            part = await asyncio.wait_for(reader.read(65536), PATIENCE)
            assert part
            received += part
        assert b'["pnl",[299,' in received
        assert received.index(b'["pnl",[299,') < received.index(b'["other",1]')
        await engine.until(lambda: client.connection is not None and client.connection.outbox is None)
        writer.close()

    @pytest.mark.parametrize("front", [True, False])
    @pytest.mark.parametrize("limit", [{"max_queue_bytes": 200_000}, {"max_queue_events": 20}])
    async def test_a_full_queue_cuts(self, start: Start, front: bool, limit: dict[str, int]) -> None:
        engine = await start(front=front, ping_interval=60, **limit)
        sock = stuck(engine)
        await engine.until(lambda: len(engine.log) == 1)
        for number in range(300):
            await engine.server.broadcast("event", [number, "x" * 20_000])
            await asyncio.sleep(0)
        await engine.until(lambda: engine.server.stats().clients == 0)
        assert engine.server.stats().slow_disconnects == 1
        await engine.until(lambda: len(engine.log) == 2)
        assert engine.log[1][2] == "slow client"
        sock.close()

    @pytest.mark.parametrize("front", [True, False])
    async def test_staying_behind_cuts(self, start: Start, front: bool) -> None:
        engine = await start(front=front, ping_interval=60, slow_client_timeout=0.3)
        sock = stuck(engine)
        await engine.until(lambda: len(engine.log) == 1)
        for number in range(100):
            await engine.server.broadcast("pnl", [number, "x" * 50_000], replace_key="pnl")
        await engine.until(lambda: engine.server.stats().clients == 0)
        assert engine.server.stats().slow_disconnects == 1
        sock.close()

    async def test_a_polling_client_that_does_not_poll_is_cut(self, start: Start) -> None:
        engine = await start(ping_interval=60, slow_client_timeout=0.3)
        await engine.connected("polling")
        await engine.server.broadcast("pnl", 1, replace_key="pnl")
        await engine.server.broadcast("pnl", 2, replace_key="pnl")
        await engine.until(lambda: engine.server.stats().clients == 0)
        assert engine.server.stats().slow_disconnects == 1
        assert engine.server.stats().dropped == 1

    async def test_a_client_that_catches_up_stays(self, start: Start) -> None:
        engine = await start(ping_interval=60, slow_client_timeout=30, max_queue_events=1000)
        sock = stuck(engine)
        await engine.until(lambda: len(engine.log) == 1)
        (client,) = engine.server.clients.values()
        for number in range(40):
            await engine.server.broadcast("event", [number, "x" * 20_000])
        assert client.connection is not None
        assert client.connection in engine.server.eio.shared.behind
        reader, writer = await asyncio.open_connection(sock=sock)
        received = b""
        while b'["event",[39,' not in received:
            received += await asyncio.wait_for(reader.read(65536), PATIENCE)
        await engine.until(lambda: client.connection not in engine.server.eio.shared.behind)
        assert client.connection is not None, "it was not cut"
        assert client.connection.outbox is None
        starts = [received.index(f'["event",[{number},'.encode()) for number in range(40)]
        assert starts == sorted(starts)
        writer.close()

    async def test_slow_clients_cost_other_clients_no_message(self, start: Start) -> None:
        engine = await start(ping_interval=60, max_connections_per_ip=0)
        slow = [stuck(engine) for _ in range(20)]
        await engine.until(lambda: len(engine.log) == 20)
        healthy = [await engine.connected("websocket") for _ in range(20)]
        sent = 200
        reading = [asyncio.create_task(numbers(client, sent)) for client in healthy]
        for number in range(sent):
            await engine.server.broadcast("n", (number, "x" * 5_000), replace_key="n" if number % 2 else None)
            await asyncio.sleep(0.001)
        assert await asyncio.wait_for(asyncio.gather(*reading), 30) == [list(range(sent))] * len(healthy)
        for sock in slow:
            sock.close()

    async def test_too_many_events_pause_their_sender_only(self, start: Start) -> None:
        gate = asyncio.Event()
        running = 0
        most = 0

        def setup(server: Any) -> None:
            @server.on("work")
            async def work(sid: str) -> None:
                nonlocal running, most
                running += 1
                most = max(most, running)
                await gate.wait()
                running -= 1

        engine = await start(setup=setup, ping_interval=60, max_pending_handlers=8)
        flood = await engine.connected("websocket")
        other = await engine.connected("websocket")
        await flood.send(*['42["work"]'] * 100)
        await engine.until(lambda: running >= 8)
        await other.send('42["message",1]')
        assert await numbers(other, 1) == [1]
        gate.set()
        await flood.send('42["message",2]')
        assert await numbers(flood, 1) == [2]
        assert most <= 8


class TestTls:
    async def test_broadcasts_under_tls(self, tmp_path: Path) -> None:
        key, certificate = self_signed(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = create_server(EngineConfig(ping_interval=0.3))
        app = web.Application()
        attach(server, app)
        runner = web.AppRunner(app)
        await runner.setup()
        listener = await listen(server, runner, host="127.0.0.1", port=0, ssl_context=context)
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=certificate))
        async with aiohttp.ClientSession(connector=connector) as http:
            for transports in (["websocket"], ["polling"], ["polling", "websocket"]):
                client = socketio.AsyncClient(http_session=http)
                got: list[int] = []
                done = asyncio.Event()

                def on_number(number: int, _: str, got: list[int] = got, done: asyncio.Event = done) -> None:
                    got.append(number)
                    if number == 199:
                        done.set()

                client.on("n", on_number)
                await client.connect(f"https://127.0.0.1:{listener.port}", transports=transports)
                for number in range(200):
                    await server.broadcast("n", (number, "x" * 2_000))
                    await asyncio.sleep(0)
                await asyncio.wait_for(done.wait(), PATIENCE)
                assert got == list(range(200))
                await client.disconnect()
        await server.shutdown(1)
        await listener.close()
        await runner.cleanup()


class TestShutdown:
    @pytest.mark.parametrize("transport", ["polling", "websocket", "upgraded", "upgrading"])
    async def test_every_client_is_closed(self, start: Start, transport: str) -> None:
        engine = await start()
        client = await engine.client(transport)
        await client.send("40")
        await engine.until(lambda: len(engine.log) == 1)
        stopping = asyncio.create_task(engine.server.shutdown(5))
        await client.until_closed()
        await stopping
        stats = engine.server.stats()
        assert (stats.websocket, stats.feed_websocket) == (0, 0)
        await engine.until(lambda: len(engine.log) == 2)
        async with engine.http.get(f"{engine.base}?EIO=4&transport=polling") as response:
            assert response.status == 503
            assert response.headers["Retry-After"]

    async def test_websockets_get_going_away(self, engine: Running) -> None:
        client = await WebSocketClient(engine.http, engine.base).open()
        stopping = asyncio.create_task(engine.server.shutdown(5))
        with pytest.raises(Closed):
            await client.packet()
        assert client.close_code == 1001
        await stopping
