"""Clients that we did not write, with their messages in a queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio

from tests.waiting import PATIENCE


class Listener:
    """A python-socketio client that keeps every event in the order of arrival."""

    def __init__(self) -> None:
        self.io = socketio.AsyncClient(reconnection=False)
        self.seen: list[tuple[str, Any]] = []
        self.ended = asyncio.Event()
        """Set when the connection has ended. `io.wait()` returns half a minute later where the server ends a poll."""
        self._more = asyncio.Event()
        self.io.on("*", self._note)
        self.io.on("disconnect", self._end)

    async def _note(self, event: str, *payload: Any) -> None:
        self.seen.append((event, payload[0] if len(payload) == 1 else payload))
        self._more.set()

    def _end(self, *_reason: str) -> None:
        self.ended.set()
        self._more.set()

    def of(self, event: str) -> list[Any]:
        return [payload for name, payload in self.seen if name == event]

    async def until(self, condition: Any, *, timeout: float = PATIENCE) -> Any:
        """Wait until `condition(self)` is true and return what it gave."""
        async with asyncio.timeout(timeout):
            while not (found := condition(self)):
                self._more.clear()
                await self._more.wait()
            return found

    async def next(self, event: str, condition: Any = lambda _: True, *, timeout: float = PATIENCE) -> Any:
        """The first payload of `event` from now on for which the condition holds."""
        start = len(self.seen)

        def found(_: Listener) -> Any:
            for name, payload in self.seen[start:]:
                if name == event and condition(payload):
                    return (payload,)
            return None

        return (await self.until(found, timeout=timeout))[0]


@asynccontextmanager
async def listening(
    url: str, *, transports: list[str] | None = None, auth: Any = None, **more: Any
) -> AsyncIterator[Listener]:
    client = Listener()
    await client.io.connect(url, transports=transports, auth=auth, **more)
    try:
        yield client
    finally:
        await client.io.disconnect()
