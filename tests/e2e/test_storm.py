"""Two hundred clients of mixed kinds whose connections are cut at random: nothing is missed in silence."""

import asyncio
import contextlib
import random
from pathlib import Path

import aiohttp
import pytest
import socketio
from websockets.exceptions import WebSocketException

from tests.support.cutting import cutting_proxy
from tests.support.feeds import event_stream, plain_socket

CLIENTS = 200
STORM_SECONDS = 20.0
CUT_EVERY = 0.5
SHARE = 0.08
BROKEN = (OSError, TimeoutError, aiohttp.ClientError, WebSocketException, socketio.exceptions.SocketIOError)


class Reader:
    """A client that comes back whenever it is cut; `held` is the last (seq, netPnL) that it assembled."""

    def __init__(self, url: str, number: int) -> None:
        self.url = url
        self.kind = ("socketio", "polling", "namespace", "websocket", "sse", "dashboard")[number % 6]
        self.held: tuple[int, float] = (0, 0.0)
        self.epoch = ""
        self.sessions = 0
        self.broken: list[str] = []
        self.skipped = 0
        self.over = False
        self.more = asyncio.Event()

    async def run(self) -> None:
        session = {"websocket": self.websocket, "sse": self.sse, "dashboard": self.dashboard}.get(
            self.kind, self.socketio
        )
        while not self.over:
            self.sessions += 1
            with contextlib.suppress(*BROKEN):
                await session()
            await asyncio.sleep(0.05)

    def whole(self, data: dict) -> None:
        """A message that stands alone; the sequence never goes back."""
        if data["seq"] < self.held[0]:
            self.broken.append(f"{self.held[0]} then {data['seq']}")
        self.held = data["seq"], data["netPnL"]
        self.epoch = data["epoch"]
        self.more.set()

    def delta(self, data: dict) -> None:
        if data["prevSeq"] != self.held[0]:
            self.broken.append(f"{self.held[0]}, then a delta from {data['prevSeq']}")
        self.held = data["seq"], round(self.held[1] + data["netPnLDelta"], 2)
        self.more.set()

    def update(self, message: dict) -> None:
        """An update of Socket.IO: a replay has no gap; to one that lags, the newest came in place of what waited.

        An HTTP client quietly repeats a poll whose answer was cut off: only there may the network lose an update.
        """
        data = message["data"]
        jump = data["seq"] - self.held[0] - 1
        gaps = message["source"] == "stream" or self.kind == "polling"
        if gaps:
            self.skipped += max(jump, 0)
        if message["source"] != "initial" and (jump < 0 or (jump and not gaps)):
            self.broken.append(f"{self.held[0]} then {data['seq']} as {message['source']}")
        self.whole(data)

    async def socketio(self) -> None:
        client = socketio.AsyncClient(reconnection=False)
        namespace = "/pnl" if self.kind == "namespace" else "/"
        client.on("pnl_update", self.update, namespace=namespace)
        transports = ["polling"] if self.kind == "polling" else ["websocket"]
        try:
            await client.connect(self.url, transports=transports, namespaces=[namespace], wait_timeout=5)
            if namespace == "/":
                since = {"since": {"epoch": self.epoch, "seq": self.held[0]}} if self.epoch else None
                await client.emit("subscribe_pnl", since)
            await client.wait()
        finally:
            with contextlib.suppress(*BROKEN):
                await client.shutdown()
            with contextlib.suppress(*BROKEN):
                # A client that was cancelled while it connected would go on polling and answering pings.
                await client.eio.disconnect()

    async def websocket(self) -> None:
        async with plain_socket(self.url, "/ws") as socket:
            while True:
                self.ledger(await socket.read())

    async def sse(self) -> None:
        last = {"Last-Event-ID": f"{self.epoch}-{self.held[0]}"} if self.epoch else {}
        async with event_stream(self.url, **last) as reader:
            while True:
                self.ledger((await reader.read()).data)

    def ledger(self, message: dict) -> None:
        (self.whole if message["type"] == "snapshot" else self.delta)(message["data"])

    async def dashboard(self) -> None:
        async with plain_socket(self.url, "/pnl-stream") as socket:
            while True:
                self.whole(await socket.read())

    async def until(self, seq: int, net: float) -> None:
        """Wait until this client holds the figure, or a later place."""
        while self.held[1] != net or (self.kind not in ("websocket", "sse") and self.held[0] < seq):
            self.more.clear()
            await self.more.wait()


async def stop(readers: list[Reader], tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a `wait_for` whose message comes together with the cancellation swallows it."""
    for reader in readers:
        reader.over = True
    async with asyncio.timeout(20):
        pending = set(tasks)
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=0.2)


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def spared(server) -> float:
    """Messages that the server replaced by newer ones."""
    async with aiohttp.ClientSession() as session, session.get(server.url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    (line,) = [line for line in lines if line.startswith("pnl_messages_dropped")]
    return float(line.split()[1])


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_two_hundred_clients_in_a_storm(server, simulator):
    chance = random.Random(11)
    async with cutting_proxy(server.port) as proxy:
        readers = [Reader(proxy.url, number) for number in range(CLIENTS)]
        tasks = [asyncio.create_task(reader.run()) for reader in readers]
        cuts = 0
        ends = asyncio.get_running_loop().time() + STORM_SECONDS
        while asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(CUT_EVERY)
            for number in proxy.open:
                if chance.random() < SHARE:
                    proxy.cut(number)
                    cuts += 1
            simulator.step()
        assert cuts > CLIENTS
        failed = [task for task in tasks if task.done()]
        assert not failed, failed[0].exception()
        calm = await server.until(
            "/api/pnl/history?limit=20", lambda a: len({row["netPnL"] for row in a["data"]["data"]}) == 1
        )
        newest = calm["data"]["data"][-1]
        waits = [asyncio.create_task(reader.until(newest["seq"], newest["netPnL"])) for reader in readers]
        await asyncio.wait(waits, timeout=20)
        late = [
            (reader.kind, reader.held, reader.sessions)
            for reader, wait in zip(readers, waits, strict=True)
            if not wait.done()
        ]
        assert not late, (newest["seq"], newest["netPnL"], late)
        assert not [(reader.kind, reader.broken) for reader in readers if reader.broken]
        skipped = sum(reader.skipped for reader in readers if reader.kind != "polling")
        assert skipped <= await spared(server), "what was skipped was counted"
        await stop(readers, tasks)
    # A polling client that was cut between its greeting and its subscription is missed by its pings alone: 45 s.
    await server.until("/api/health", lambda a: a["connectedClients"] == 0, timeout=60)
    assert resident(server.pid) < 400 * 1024 * 1024
    assert "Traceback" not in server.log, server.log[-4000:]
