"""A connection that aiohttp serves, under the engine's deadlines: for each request head, and for taking an answer."""

import asyncio
from typing import cast

from aiohttp import web

from pnl_backend.engine import refusals
from pnl_backend.engine.limits import ANSWER_PROGRESS
from pnl_backend.engine.net.pending import PendingConnection, PendingConnections
from pnl_backend.engine.net.requests import HeadReader, Refusal, begins_whole, refusal_bytes
from pnl_backend.engine.net.sockets import limit_unsent, write_last


class HttpConnection(asyncio.Protocol):
    """Stands between a transport and aiohttp's protocol, and passes everything on.

    A request head has its deadline until `began`; the connection is idle from the end of the answer to the next byte.
    """

    def __init__(self, pending: PendingConnections, accepted: PendingConnection, inner: web.RequestHandler) -> None:
        self.pending = pending
        self.accepted = accepted
        self.loop = asyncio.get_running_loop()
        self.inner = inner
        self.transport: asyncio.Transport | None = None
        self.request: web.BaseRequest | None = None
        self.head: HeadReader | None = HeadReader(pending.config.max_head_size)
        self.pipelined = False
        self.given_up = False
        self.refused = False
        self.unsent = 0
        accepted.holder = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            limit_unsent(sock)  # or the kernel would hide for long that the client takes its answer
        if self.given_up:
            self.transport.abort()
        self.inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        if self.request is None and self.head is None and begins_whole(data):
            # aiohttp takes or refuses it at once: such a head needs no deadline of its own.
            self.head = _WHOLE  # the body may come before `began`
        elif self.request is not None:
            # Behind the body of the request in hand comes the next one's head.
            if self.request.content.is_eof() and not begins_whole(data):
                self.pipelined = True
        else:
            if self.head is None:
                self._await_head()
            if self.head is not None and not self.head.take(data):
                self._refuse(Refusal.of(refusals.HEAD_TOO_BIG))
                return
            if self.head is not None and self.head.complete:
                self.pending.received(self.accepted)
        self.inner.data_received(data)

    def eof_received(self) -> None:
        self.inner.eof_received()

    def pause_writing(self) -> None:
        self._watch_sending()
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.pending.shared.behind.discard(self)
        self.inner.resume_writing()
        if self.request is None:
            self._watch_sending()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = self.request = None
        self.pending.closed(self.accepted)
        self.pending.shared.behind.discard(self)
        self.inner.connection_lost(exc)

    def began(self, request: web.BaseRequest) -> None:
        """aiohttp has a complete request, which the current task answers."""
        self.request = request
        self.head = None
        self.pipelined = False
        self.pending.complete(self.accepted)
        task = asyncio.current_task(self.loop)  # which need not look for the running loop
        if task is not None:
            task.add_done_callback(self._ended)

    def _ended(self, _: "asyncio.Task[object]") -> None:
        """The answer is written, as far as the transport takes it."""
        self.request = None
        if self.transport is None:
            return
        if self.transport.get_write_buffer_size():
            self._watch_sending()
        if self.pipelined:
            self._await_head()
        else:
            self.pending.rest(self.accepted)

    def _await_head(self) -> None:
        self.head = HeadReader(self.pending.config.max_head_size)
        self.pending.begin(self.accepted)

    def _watch_sending(self) -> None:
        unsent = 0 if self.transport is None else self.transport.get_write_buffer_size()
        if unsent and self not in self.pending.shared.behind:
            self.unsent = unsent
            self.pending.shared.behind.add(self)

    def cut(self) -> None:
        """Close a client that does not take its answer; one that took some of it goes on."""
        if self.transport is None:
            return
        before, self.unsent = self.unsent, self.transport.get_write_buffer_size()
        if self.unsent > max(0, before - ANSWER_PROGRESS) and self.unsent:
            self.pending.shared.counters.slow_disconnects += 1
            self.give_up()
        elif self.unsent:
            self.pending.shared.behind.add(self)

    def _refuse(self, refusal: Refusal) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.refused = True
            write_last(self.transport, refusal_bytes(refusal))
            self.pending.linger(self.accepted)

    def read(self) -> None:
        """The transport brings what has arrived."""

    def give_up(self) -> None:
        """Close the socket at once, or as soon as the transport is there."""
        self.given_up = True
        if self.transport is not None:
            self.transport.abort()


def _whole_head() -> HeadReader:
    """A reader that has found the end of its head and takes whatever comes behind it."""
    reader = HeadReader(0)
    reader.complete = True
    return reader


_WHOLE = _whole_head()


def request_began(request: web.BaseRequest) -> None:
    """Say that a request's head is complete, where the connection is one of `listen`'s."""
    transport = request.transport
    protocol = None if transport is None else transport.get_protocol()
    if isinstance(protocol, HttpConnection):
        protocol.began(request)
