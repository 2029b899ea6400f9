"""A TCP proxy that cuts connections: network failures on command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class CuttingProxy:
    """Passes bytes both ways until a connection is cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._pairs: dict[int, tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._marks: list[bytes] = []
        self.url = ""

    @property
    def open(self) -> list[int]:
        """The connections that are up, by number, oldest first."""
        return list(self._pairs)

    def cut(self, number: int) -> None:
        """By a reset to both sides."""
        for writer in self._pairs.pop(number, ()):
            writer.transport.abort()

    def cut_all(self) -> int:
        """How many there were."""
        numbers = self.open
        for number in numbers:
            self.cut(number)
        return len(numbers)

    def stall(self) -> None:
        """Pass no byte on until `resume`; connections stay up and new ones are accepted."""
        self._flows.clear()

    def resume(self) -> None:
        self._flows.set()

    def cut_at(self, mark: bytes) -> None:
        """Cut the next connection whose client sends these bytes, which the server does not get; once for each call."""
        self._marks.append(mark)

    def _marked(self, data: bytes) -> bool:
        found = next((mark for mark in self._marks if mark in data), None)
        if found is not None:
            self._marks.remove(found)
        return found is not None

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._tasks)

    def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._count += 1
        number = self._count
        self._pairs[number] = writer, far_writer

        def sent(data: bytes) -> bool:
            if marked := self._marked(data):
                self.cut(number)
            return bool(data) and not marked

        flows = self._flows
        await asyncio.gather(_pass(reader, far_writer, flows, sent), _pass(far_reader, writer, flows))
        self.cut(number)


async def _pass(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    flows: asyncio.Event,
    take: Callable[[bytes], bool] = bool,
) -> None:
    """Until one side ends, which ends the other, or `take` is false of what was read."""
    try:
        while take(data := await reader.read(65536)):
            await flows.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
    except OSError:
        writer.transport.abort()


@asynccontextmanager
async def cutting_proxy(port: int) -> AsyncIterator[CuttingProxy]:
    """In front of a port on loopback."""
    proxy = CuttingProxy(port)
    server = await asyncio.start_server(proxy.accepted, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.resume()
        proxy.cut_all()
        await proxy.wait_closed()
