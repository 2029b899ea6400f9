"""Readiness of the engine's own sockets: one epoll of theirs, behind a single reader of the event loop.

A reader of the event loop costs several system calls and objects for each socket; a socket in an epoll costs one call.
It is level-triggered: what is not read, and a reset, is reported again in the next turn of the loop. A callback must
bear a call for nothing.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Protocol

Callback = Callable[[], object]

EVENTS = 1024
"""Sockets asked for in one system call."""


class Readiness(Protocol):
    """Calls back while a descriptor can be read or written."""

    def add_reader(self, descriptor: int, callback: Callback) -> None:
        """Call back while there is something to read, or the connection is lost; replaces an earlier callback."""

    def add_writer(self, descriptor: int, callback: Callback) -> None:
        """Call back while the socket takes more, or the connection is lost; replaces an earlier callback."""

    def remove_reader(self, descriptor: int) -> None: ...

    def remove_writer(self, descriptor: int) -> None: ...

    def remove(self, descriptor: int) -> None:
        """Forget a descriptor, before its socket is closed or handed over."""


def readiness() -> Readiness:
    """By epoll; by the event loop's own readers on systems without it."""
    return EpollReadiness() if hasattr(select, "epoll") else LoopReadiness()


class EpollReadiness:
    """Sockets in an epoll; it is open while there are any, so that nobody has to close it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._epoll: select.epoll | None = None
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}

    def add_reader(self, descriptor: int, callback: Callback) -> None:
        before = self._mask(descriptor)
        self._readers[descriptor] = callback
        self._update(descriptor, before)

    def add_writer(self, descriptor: int, callback: Callback) -> None:
        before = self._mask(descriptor)
        self._writers[descriptor] = callback
        self._update(descriptor, before)

    def remove_reader(self, descriptor: int) -> None:
        before = self._mask(descriptor)
        self._readers.pop(descriptor, None)
        self._update(descriptor, before)

    def remove_writer(self, descriptor: int) -> None:
        before = self._mask(descriptor)
        self._writers.pop(descriptor, None)
        self._update(descriptor, before)

    def remove(self, descriptor: int) -> None:
        before = self._mask(descriptor)
        self._readers.pop(descriptor, None)
        self._writers.pop(descriptor, None)
        self._update(descriptor, before)

    def _mask(self, descriptor: int) -> int:
        readable = select.EPOLLIN if descriptor in self._readers else 0
        return readable | select.EPOLLOUT if descriptor in self._writers else readable

    def _update(self, descriptor: int, before: int) -> None:
        mask = self._mask(descriptor)
        if mask == before:
            return
        epoll = self._epoll or self._open()
        if not before:
            epoll.register(descriptor, mask)
        elif mask:
            epoll.modify(descriptor, mask)
        else:
            # With no events left a reset would still be reported, again and again.
            epoll.unregister(descriptor)
            if not self._readers and not self._writers:
                self._close(epoll)

    def _open(self) -> select.epoll:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._dispatch)
        return self._epoll

    def _close(self, epoll: select.epoll) -> None:
        if self._loop is not None:
            self._loop.remove_reader(epoll.fileno())
        epoll.close()
        self._epoll = self._loop = None

    def _dispatch(self) -> None:
        """Serve every socket that is ready once, as the loop itself would: deadlines count on that after a stall."""
        for _ in range(1 + (len(self._readers) + len(self._writers)) // EVENTS):
            if self._epoll is None:
                return
            ready = self._epoll.poll(0, EVENTS)
            for descriptor, events in ready:
                # A callback before this one may have removed it.
                if events != select.EPOLLOUT and (callback := self._readers.get(descriptor)) is not None:
                    self._call(callback)
                if events != select.EPOLLIN and (callback := self._writers.get(descriptor)) is not None:
                    self._call(callback)
            if len(ready) < EVENTS:
                return

    def _call(self, callback: Callback) -> None:
        try:
            callback()
        except Exception as error:
            if self._loop is None:
                raise
            self._loop.call_exception_handler({"message": f"{callback!r} failed", "exception": error})


class LoopReadiness:
    """The same by readers and writers of the running event loop."""

    def add_reader(self, descriptor: int, callback: Callback) -> None:
        loop = asyncio.get_running_loop()

        def read() -> None:
            callback()
            callback()  # uvloop reports data with a reset behind it only once

        try:
            loop.add_reader(descriptor, read)
        except RuntimeError:
            # uvloop closes the poll of a socket that got data and a reset at once, but still has it by its descriptor.
            self.remove(descriptor)
            loop.add_reader(descriptor, read)

    def add_writer(self, descriptor: int, callback: Callback) -> None:
        asyncio.get_running_loop().add_writer(descriptor, callback)

    def remove_reader(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)

    def remove_writer(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_writer(descriptor)

    def remove(self, descriptor: int) -> None:
        self.remove_reader(descriptor)
        self.remove_writer(descriptor)
