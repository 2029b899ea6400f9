"""Readers of the plain feeds: WebSocket by `websockets`, server-sent events by hand over aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.waiting import PATIENCE

Message = dict[str, Any]


class Socket:
    """A plain WebSocket client that parses what it gets."""

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw

    async def read(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            return orjson.loads(await self.raw.recv())

    async def until(self, condition: Callable[[Message], Any]) -> Message:
        while not condition(message := await self.read()):
            pass
        return message

    async def send(self, message: Any) -> None:
        await self.raw.send(message if isinstance(message, str | bytes) else orjson.dumps(message).decode())

    async def closed(self) -> tuple[int | None, str | None]:
        """Read to the end; the code and the reason of the close frame."""
        async with asyncio.timeout(PATIENCE):
            await self.raw.wait_closed()
        return self.raw.close_code, self.raw.close_reason


@asynccontextmanager
async def plain_socket(url: str, path: str = "/ws", **more: Any) -> AsyncIterator[Socket]:
    """`url` as the server announces it, http and all."""
    async with connect(url.replace("http", "ws", 1) + path, max_queue=4096, **more) as raw:
        yield Socket(raw)


@dataclass(frozen=True)
class Event:
    id: str | None
    data: Message


class EventReader:
    """Server-sent events as they arrive; `retry` and `comments` as they were told."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.retry: int | None = None
        self.comments: list[str] = []

    async def line(self) -> str:
        async with asyncio.timeout(PATIENCE):
            line = await self.response.content.readline()
        if not line:
            raise ConnectionError("the stream has ended")
        return line.decode().rstrip("\n")

    async def read(self) -> Event:
        """The next event; a field that is none of the standard's fails."""
        found: dict[str, str] = {}
        while True:
            line = await self.line()
            if not line:
                if "data" in found:
                    return Event(found.get("id"), orjson.loads(found["data"]))
                found = {}
                continue
            name, _, value = line.partition(": ")
            if not name:
                self.comments.append(value)
            elif line.startswith(":"):
                self.comments.append(line)
            elif name == "retry":
                self.retry = int(value)
            else:
                assert name in ("id", "data"), line
                found[name] = value

    async def until(self, condition: Callable[[Event], Any]) -> Event:
        while not condition(event := await self.read()):
            pass
        return event


@asynccontextmanager
async def event_stream(url: str, *, params: Any = None, **headers: str) -> AsyncIterator[EventReader]:
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url + "/api/pnl/stream", headers=headers, params=params) as response,
    ):
        assert response.status == 200, await response.text()
        yield EventReader(response)
