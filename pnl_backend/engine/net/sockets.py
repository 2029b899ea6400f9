"""The two kinds of socket under a connection: a bare descriptor, and an asyncio transport."""

import asyncio
import contextlib
import os
import socket
import struct

from pnl_backend.engine.limits import DRAIN_TIMEOUT, FLUSH_SIZE, READ_SIZE, UNSENT_LIMIT
from pnl_backend.engine.net.connection import CLOSED, OPEN, Connection, Owner
from pnl_backend.engine.net.outbox import Outbox
from pnl_backend.engine.net.shared import SharedState


def set_options(sock: socket.socket) -> None:
    """Send what is written at once, and limit what the kernel buffers for a client that does not read.

    Linux gives what is set on a socket that listens to all that are accepted from it.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    limit_unsent(sock)


def limit_unsent(sock: socket.socket) -> None:
    """Limit what the kernel buffers for a client that does not read."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)


def write_last(transport: asyncio.Transport, data: bytes) -> None:
    """Write and end our half of the connection, where the transport can: TLS has no half-close."""
    transport.write(data)
    if transport.can_write_eof():
        transport.write_eof()


class SocketConnection(Connection):
    """A connection over a plain TCP socket of its own: no transport, no task, one descriptor."""

    __slots__ = ("rest", "sock")

    def __init__(self, shared: SharedState, owner: Owner, sock: socket.socket) -> None:
        """The socket has what `set_options` sets from the one that listens."""
        super().__init__(shared, owner)
        self.sock = sock
        self.rest: bytes | memoryview | None = None
        self.direct = sock.fileno()
        shared.readiness.add_reader(self.direct, self.read)

    def blocked(self) -> bool:
        return self.rest is not None

    def write(self, data: bytes) -> None:
        try:
            sent = os.write(self.sock.fileno(), data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.fail()
            return
        if sent != len(data):
            self.hold(data, sent)

    def hold(self, data: bytes, sent: int) -> None:
        """Keep what the kernel did not take and wait until it takes more."""
        self.rest = memoryview(data)[sent:]
        self.direct = -1
        if self.outbox is None:
            self.outbox = Outbox()
        self.shared.readiness.add_writer(self.sock.fileno(), self._writable)
        if self not in self.shared.behind:
            self.shared.behind.add(self)

    def fail(self) -> None:
        """A write failed: the end comes in its own turn of the loop, never inside of somebody's broadcast."""
        self.direct = -1
        self.rest = b""
        asyncio.get_running_loop().call_soon(self.ended)

    def _writable(self) -> None:
        if self.state == CLOSED:
            return
        rest, self.rest = self.rest, None
        if rest:
            try:
                sent = os.write(self.sock.fileno(), rest)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.ended()
                return
            if sent < len(rest):
                self.rest = rest[sent:]
                return
        self.flush()
        if self.rest is None and self.state != CLOSED:
            self.shared.readiness.remove_writer(self.sock.fileno())
            self.caught_up()
            if self.state == OPEN:
                self.direct = self.sock.fileno()

    def read(self) -> None:
        """Take what has arrived; what does not fit is reported again."""
        if self.state == CLOSED or self.halted:
            return
        try:
            data = self.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self.feed(data)
        else:
            self.ended()

    def shutdown_write(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def listen(self, *, to: bool) -> None:
        if to:
            self.shared.readiness.add_reader(self.sock.fileno(), self.read)
        else:
            self.shared.readiness.remove_reader(self.sock.fileno())

    def close_socket(self, *, flush: bool) -> None:  # noqa: ARG002 - the kernel sends what it has either way
        self.shared.readiness.remove(self.sock.fileno())
        if self.rest is not None:
            # A reset: else the kernel would go on holding what this peer does not read.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rest = None
        self.sock.close()


class TransportConnection(Connection, asyncio.Protocol):
    """A connection over an asyncio transport: TLS, and sockets that aiohttp accepted."""

    __slots__ = ("paused", "transport", "under")

    def __init__(
        self, shared: SharedState, owner: Owner, transport: asyncio.Transport, under: asyncio.BaseProtocol | None = None
    ) -> None:
        """`under` is the protocol that had the transport before; it gets `connection_lost` too."""
        super().__init__(shared, owner)
        self.transport = transport
        self.under = under
        self.paused = False
        transport.set_write_buffer_limits(high=FLUSH_SIZE)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            limit_unsent(sock)
        transport.set_protocol(self)

    def blocked(self) -> bool:
        return self.paused

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.feed(data)

    def pause_writing(self) -> None:
        self.paused = True
        if self not in self.shared.behind:
            self.shared.behind.add(self)

    def resume_writing(self) -> None:
        self.paused = False
        self.flush()
        if not self.paused:
            self.caught_up()

    def shutdown_write(self) -> None:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()  # TLS has no half-close

    def listen(self, *, to: bool) -> None:
        if self.transport.is_closing():
            return
        if to:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended()
        if self.under is not None:
            self.under.connection_lost(exc)
            self.under = None

    def close_socket(self, *, flush: bool) -> None:
        if not flush:
            self.transport.abort()
            return
        self.transport.close()
        # Also when nothing is left to write: TLS waits for the peer's own end.
        asyncio.get_running_loop().call_later(DRAIN_TIMEOUT, self.transport.abort)
