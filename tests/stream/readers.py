"""Clients of each feed that assemble what they are sent and report what is wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.waiting import PATIENCE


class Assembler:
    """What a client holds; `announced` counts the times that it was told to begin anew."""

    def __init__(self) -> None:
        self.epoch = ""
        self.seq = 0
        self.net: float | None = None
        self.announced = 0
        self.more = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()

    @property
    def connected(self) -> bool:
        return self.task is not None and not self.task.done()

    async def until(self, seq: int, net: float) -> None:
        """Wait until it holds the newest; what went wrong in between is raised."""
        async with asyncio.timeout(PATIENCE):
            while not self.holds(seq, net):
                if self.task is not None and self.task.done():
                    self.task.result()
                self.more.clear()
                await self.more.wait()

    def holds(self, seq: int, net: float) -> bool:
        return self.seq == seq and self.net == net

    async def begin(self, port: int, *, remember: bool) -> None:
        """Connect; `remember` says whether the client tells what it has seen."""
        self.ready.clear()
        self.task = asyncio.create_task(self.run(port, remember=remember))
        self.task.add_done_callback(lambda _: self.more.set())
        async with asyncio.timeout(PATIENCE):
            waits = {self.task, asyncio.create_task(self.ready.wait())}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            self.task.result()

    async def run(self, port: int, *, remember: bool) -> None:
        raise NotImplementedError

    async def cut(self) -> None:
        """The network goes away under the client."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
            self.task = None


class Subscriber(Assembler):
    """Socket.IO by hand, so that a test sees every byte; with `recovery` it comes back as the stock client does."""

    def __init__(self, *, recovery: bool) -> None:
        super().__init__()
        self.recovery = recovery
        self.pid: str | None = None
        self.offset: str | None = None
        self.sid: str | None = None
        self.began = False
        """Whether this subscription began with the newest, not with what was missed."""

    async def run(self, port: int, *, remember: bool) -> None:
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        async with connect(url, user_agent_header=None, close_timeout=0.1) as raw:
            try:
                await self.talk(raw, remember=remember)
            except ConnectionClosed:
                return
            finally:
                raw.transport.abort()

    async def talk(self, raw: ClientConnection, *, remember: bool) -> None:
        auth: dict[str, Any] = {"recovery": self.recovery}
        if remember and self.pid:
            auth |= {"pid": self.pid, "offset": self.offset}
        assert str(await raw.recv()).startswith("0")
        await raw.send("40" + orjson.dumps(auth).decode())
        answer = orjson.loads(str(await raw.recv())[2:])
        assert ("pid" in answer) == self.recovery
        recovered = self.recovery and remember and answer["pid"] == self.pid
        if recovered:
            assert answer["sid"] == self.sid
        self.sid, self.pid, self.began = answer["sid"], answer.get("pid"), False
        if not recovered:
            since = [{"since": {"epoch": self.epoch, "seq": self.seq}}] if remember and self.epoch else []
            await raw.send("421" + orjson.dumps(["subscribe_pnl", *since]).decode())
        else:
            self.ready.set()
        while True:
            text = str(await raw.recv())
            if text == "2":
                await raw.send("3")
            elif text.startswith("431"):
                (acknowledgement,) = orjson.loads(text[3:])
                assert acknowledgement["ok"]
                assert acknowledgement["recovered"] is not self.began
                self.ready.set()
            elif text.startswith("42"):
                self.event(orjson.loads(text[2:]))

    def event(self, event: list[Any]) -> None:
        name, message, *offset = event
        assert len(offset) == (1 if self.recovery else 0)
        self.offset = offset[0] if offset else None
        if name != "pnl_update":
            return
        data = message["data"]
        if message["source"] == "initial":
            assert not self.began, "a subscription begins once"
            self.announced += 1
            self.began = True
        else:
            assert data["seq"] == self.seq + 1, f"{self.seq} then {data['seq']} as {message['source']}"
        self.epoch, self.seq, self.net = data["epoch"], data["seq"], data["netPnL"]
        self.more.set()


class LedgerAssembler(Assembler):
    """Applies deltas as a strict client does."""

    def take(self, message: dict[str, Any]) -> None:
        data = message["data"]
        if message["type"] == "snapshot":
            self.announced += 1
            self.net = data["netPnL"]
        else:
            assert data["prevSeq"] == self.seq, f"{self.seq}, then a delta from {data['prevSeq']}"
            assert self.net is not None
            self.net = round(self.net + data["netPnLDelta"], 2)
        self.seq = data["seq"]
        self.epoch = data.get("epoch", self.epoch)
        self.ready.set()
        self.more.set()

    def holds(self, seq: int, net: float) -> bool:
        """Nothing is sent while nothing changes, so an older place with the same figures is the newest too."""
        return self.seq <= seq and self.net == net


class SocketReader(LedgerAssembler):
    async def run(self, port: int, *, remember: bool) -> None:
        async with connect(f"ws://127.0.0.1:{port}/ws", close_timeout=0.1) as raw:
            try:
                async for text in raw:
                    self.take(orjson.loads(text))
            finally:
                raw.transport.abort()


class StreamReader(LedgerAssembler):
    async def run(self, port: int, *, remember: bool) -> None:
        headers = {"Last-Event-ID": f"{self.epoch}-{self.seq}"} if remember and self.epoch else {}
        url = f"http://127.0.0.1:{port}/api/pnl/stream"
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
            assert response.status == 200
            self.ready.set()
            async for line in response.content:
                if line.startswith(b"data: "):
                    self.take(orjson.loads(line[6:]))
