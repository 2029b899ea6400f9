"""Raw Engine.IO clients over aiohttp, for tests: they answer pings, so that a close is a close for its own reason."""

import asyncio
import base64
import json
from typing import Any

import aiohttp

from tests.waiting import PATIENCE

SEPARATOR = "\x1e"


class Closed(Exception):
    """The server ended the connection."""


class WebSocketClient:
    """Engine.IO over WebSocket."""

    transport = "websocket"

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self.http = http
        self.base = base
        self.handshake: dict[str, Any] = {}
        self.pings = 0
        self.close_code: int | None = None

    async def open(self, query: str = "EIO=4&transport=websocket", **kwargs: Any) -> "WebSocketClient":
        await self.dial(query, **kwargs)
        first = await self.raw()
        assert isinstance(first, str)
        assert first[0] == "0"
        self.handshake = json.loads(first[1:])
        return self

    async def dial(self, query: str, **kwargs: Any) -> None:
        self.ws = await self.http.ws_connect(f"{self.base}?{query}", autoping=True, compress=15, **kwargs)

    async def raw(self) -> str | bytes:
        """The next packet of any kind."""
        message = await asyncio.wait_for(self.ws.receive(), PATIENCE)
        if message.type is aiohttp.WSMsgType.TEXT or message.type is aiohttp.WSMsgType.BINARY:
            return message.data
        self.close_code = self.ws.close_code
        raise Closed

    async def packet(self) -> str | bytes:
        """The next packet which is not a ping; pings are answered."""
        while (data := await self.raw()) == "2":
            self.pings += 1
            await self.send("3")
        return data

    async def send(self, *packets: str | bytes) -> None:
        for packet in packets:
            await (self.ws.send_str(packet) if isinstance(packet, str) else self.ws.send_bytes(packet))

    async def until_closed(self) -> None:
        """Read on until the server closes."""
        try:
            while True:
                await self.packet()
        except Closed:
            return

    async def leave(self) -> None:
        await self.ws.close()


class PollingClient:
    """Engine.IO over long polling."""

    transport = "polling"

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self.http = http
        self.base = base
        self.handshake: dict[str, Any] = {}
        self.waiting: list[str | bytes] = []
        self.pings = 0

    @property
    def url(self) -> str:
        return f"{self.base}?EIO=4&transport=polling&sid={self.handshake['sid']}"

    async def open(self) -> "PollingClient":
        async with self.http.get(f"{self.base}?EIO=4&transport=polling") as response:
            assert response.status == 200
            first = await response.text()
        self.handshake = json.loads(first[1:])
        return self

    async def poll(self) -> tuple[int, str]:
        async with self.http.get(self.url, timeout=aiohttp.ClientTimeout(PATIENCE)) as response:
            return response.status, await response.text()

    async def post(self, body: str | bytes, **kwargs: Any) -> tuple[int, str]:
        async with self.http.post(self.url, data=body, **kwargs) as response:
            return response.status, await response.text()

    async def packet(self) -> str | bytes:
        while True:
            while self.waiting:
                packet = self.waiting.pop(0)
                if packet == "1":
                    raise Closed
                if packet == "2":
                    self.pings += 1
                    await self.post("3")
                elif packet != "6":
                    return packet
            status, body = await self.poll()
            if status != 200:
                raise Closed
            self.waiting = [
                base64.b64decode(part[1:]) if part.startswith("b") else part for part in body.split(SEPARATOR)
            ]

    async def send(self, *packets: str | bytes) -> None:
        """Post packets together; the answer's status is the test's to judge by what follows."""
        parts = [part if isinstance(part, str) else "b" + base64.b64encode(part).decode() for part in packets]
        await self.post(SEPARATOR.join(parts))

    async def until_closed(self) -> None:
        try:
            while True:
                await self.packet()
        except Closed:
            return

    async def leave(self) -> None:
        """A polling client has nothing open."""


class UpgradingClient(PollingClient):
    """A polling client whose probe was answered and who has not upgraded yet."""

    transport = "upgrading"

    async def open(self) -> "UpgradingClient":
        await super().open()
        self.probe = WebSocketClient(self.http, self.base)
        await self.probe.dial(f"EIO=4&transport=websocket&sid={self.handshake['sid']}")
        await self.probe.send("2probe")
        assert await self.probe.raw() == "3probe"
        return self

    async def upgrade(self) -> WebSocketClient:
        await self.probe.send("5")
        self.probe.handshake = self.handshake
        return self.probe

    async def packet(self) -> str | bytes:
        """What waits for an upgrading client arrives when it has upgraded."""
        if self.probe.transport == "websocket":
            status, body = await self.poll()
            if status != 200:
                raise Closed
            assert body == "6"
        return await (await self.upgrade()).packet()

    async def until_closed(self) -> None:
        await self.probe.until_closed()

    async def leave(self) -> None:
        await self.probe.leave()


async def upgraded(http: aiohttp.ClientSession, base: str) -> WebSocketClient:
    """A client that came by polling and moved to WebSocket."""
    return await (await UpgradingClient(http, base).open()).upgrade()
