"""Follows the stream on every node: the newest entries at the start, then each one as it is added."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from loguru import logger

from pnl_backend.bus.protocol import BEGIN, Entry, Place, Stream
from pnl_backend.errors import BusDown

RETRY = 0.25
"""Seconds between two attempts while the stream cannot be read."""


class StreamReader:
    """Calls `on_entries` with entries in their order; `count` is how many it reads where it begins.

    After every interruption it looks whether the stream is still the one that it has read: a Redis that came back
    empty, and was filled again, begins anew.
    """

    def __init__(self, stream: Stream, on_entries: Callable[[Sequence[Entry]], Awaitable[None]], *, count: int) -> None:
        self._stream = stream
        self._on_entries = on_entries
        self._count = count
        self._place: Place | None = None
        self._known = False
        self._level = time.monotonic()
        self._ended = False
        self.top = BEGIN
        """The newest place that was seen in the stream."""

    @property
    def place(self) -> Place:
        """Up to where the stream has been read."""
        return self._place or BEGIN

    @property
    def lag_ms(self) -> int:
        """For how long this node has not been level with the newest place that it knows; 0 while it is."""
        return 0 if self.place >= self.top else int((time.monotonic() - self._level) * 1000)

    def note_top(self, top: Place | None) -> None:
        """Take notice of the stream's newest place, read elsewhere."""
        if top is not None:
            self.top = top
            if self.place >= top:
                self._level = time.monotonic()

    async def begin(self) -> bool:
        """Read the newest entries; whether the stream could be read."""
        try:
            await self._resume()
        except BusDown as error:
            logger.debug("bus: the stream cannot be read yet: {}", error)
            return False
        return True

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read while the block runs."""
        task = asyncio.create_task(self._follow(), name="bus-reader")
        try:
            yield
        finally:
            self._ended = True  # before Python 3.12 the library's wait_for may swallow the cancellation
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        while not self._ended:
            try:
                if not self._known:
                    await self._resume()
                await self._take(await self._stream.after(self.place))
            except BusDown:
                self._known = False
                await asyncio.sleep(RETRY)
            except Exception:
                logger.exception("bus: an update could not be taken from the stream")
                self._known = False
                await asyncio.sleep(RETRY)

    async def _resume(self) -> None:
        """Read what is new; everything that is held where this reader has read nothing, or another stream."""
        newest = await self._stream.newest(self._count)
        top = newest[-1].place if newest else BEGIN
        if self._place is not None and top < self._place:
            logger.warning("bus: the stream was replaced, it ends at {} and was read up to {}", top, self._place)
            self._place = None
        await self._take([entry for entry in newest if entry.place > self.place])
        self._place = self._place or top
        self._known = True

    async def _take(self, entries: Sequence[Entry]) -> None:
        if not entries:
            self.note_top(max(self.top, self.place))
            return
        await self._on_entries(entries)
        self._place = entries[-1].place
        self.note_top(max(self.top, self._place))
