"""Clients of every kind that reconnect after each lost connection, and check that every gap is marked."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import socketio
from websockets.exceptions import WebSocketException

from tests.support.feeds import event_stream, plain_socket
from tests.waiting import PATIENCE

KINDS = ("socketio", "polling", "namespace", "websocket", "sse", "dashboard")
ANSWERED = 10.0
"""Seconds for the acknowledgement of a subscription."""
CLOSED = 2.0
"""Seconds for a Socket.IO client's own way to disconnect, before its connections are aborted."""
BROKEN = (OSError, TimeoutError, aiohttp.ClientError, WebSocketException, socketio.exceptions.SocketIOError)


class Reader:
    """A client that comes back whenever it is cut; `held` is the last (seq, netPnL) that it assembled."""

    def __init__(self, url: str, kind: str) -> None:
        """`kind` is one of KINDS."""
        self.url = url
        self.kind = kind
        self.held: tuple[int, float] = (0, 0.0)
        self.epoch = ""
        self.sessions = 0
        self.broken: list[str] = []
        self.skipped = 0
        self.over = False

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

    def delta(self, data: dict) -> None:
        if data["prevSeq"] != self.held[0]:
            self.broken.append(f"{self.held[0]}, then a delta from {data['prevSeq']}")
        self.held = data["seq"], round(self.held[1] + data["netPnLDelta"], 2)

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
        over = asyncio.Event()
        client.on("pnl_update", self.update, namespace=namespace)
        client.on("disconnect", lambda _: over.set(), namespace=namespace)
        ended: asyncio.Task[None] | None = None
        transports = ["polling"] if self.kind == "polling" else ["websocket"]
        try:
            await client.connect(self.url, transports=transports, namespaces=[namespace], wait_timeout=5)
            if namespace == "/":
                since = {"since": {"epoch": self.epoch, "seq": self.held[0]}} if self.epoch else None
                # Only the acknowledgement shows that it arrived: when a POST is cut, python-engineio stops sending
                # without an error, and goes on with its pending poll, which may take as long as the ping interval.
                await client.call("subscribe_pnl", since, timeout=ANSWERED)
            # Behind a CLOSE of the server `wait` may return as late as 30 s; an error of a poll causes no "disconnect".
            ended = asyncio.create_task(client.wait())
            ended.add_done_callback(lambda _: over.set())
            await over.wait()
        finally:
            with contextlib.suppress(*BROKEN):
                async with asyncio.timeout(CLOSED):
                    await client.disconnect()
            with contextlib.suppress(*BROKEN):
                await client.eio.disconnect(abort=True)
            if ended is not None:
                ended.cancel()
                await asyncio.gather(ended, return_exceptions=True)

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

    def holds(self, seq: int, net: float) -> bool:
        """Whether it has this figure. The ledger feed sends only changes, so that its seq may stay behind."""
        return self.held[1] == net and (self.kind in ("websocket", "sse") or self.held[0] >= seq)


async def stop(readers: list[Reader], tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a `wait_for` whose message comes together with the cancellation swallows it."""
    for reader in readers:
        reader.over = True
    async with asyncio.timeout(PATIENCE):
        pending = set(tasks)
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=0.2)
