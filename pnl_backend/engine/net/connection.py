"""One client's socket: frames in, frames out, backpressure; every kind of feed shares it."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pnl_backend.engine import closes
from pnl_backend.engine.closes import Close
from pnl_backend.engine.limits import FLUSH_SIZE
from pnl_backend.engine.net import frames
from pnl_backend.engine.net.frames import FrameError, FrameReader
from pnl_backend.engine.net.messages import Message, ProtocolError, RawFrames
from pnl_backend.engine.net.outbox import Outbox
from pnl_backend.engine.net.requests import Environ
from pnl_backend.engine.net.shared import SharedState

OPEN, CLOSING, CLOSED = range(3)


class Owner(Protocol):
    """What a connection belongs to: an Engine.IO session, an upgrade under way, or a plain feed."""

    @property
    def environ(self) -> Environ:
        """The request of the client, whose address the connection counts under while it closes."""

    def attached(self, connection: "Connection", answer: bytes) -> None:
        """The connection stands; `answer` (the handshake's) goes out before anything else."""

    def received(self, data: str | bytes) -> None: ...

    def pong(self) -> None: ...

    def lost(self, close: Close) -> None:
        """The connection is over, once; not called after the owner itself closed it."""


class UpgradeHandler(Protocol):
    """What takes WebSocket upgrades: the server above this layer."""

    def takes(self, path: str) -> bool:
        """Whether WebSocket upgrades at this path are for it."""

    def open_upgrade(self, environ: Environ) -> tuple[Owner, bytes]:
        """The owner of the new connection, and the answer to its handshake; Refusal when it is not taken."""


class Connection:
    """One WebSocket after its handshake; `direct` is the descriptor to write to while nothing waits, else -1."""

    __slots__ = ("counted", "direct", "halted", "outbox", "owner", "reader", "shared", "state", "taken")

    def __init__(self, shared: SharedState, owner: Owner) -> None:
        self.shared = shared
        self.owner = owner
        self.direct = -1
        self.outbox: Outbox | None = None
        self.reader = FrameReader(shared.config.max_http_buffer_size)
        self.state = OPEN
        self.halted = False
        self.taken = 0
        """Messages of the bytes in hand so far."""
        self.counted: str | None = None
        """The address under which it counts while it closes."""
        shared.open.add(self)

    # What each kind of socket does in its own way.

    def write(self, data: bytes) -> None:
        """Write to a socket that nothing waits for."""
        raise NotImplementedError

    def blocked(self) -> bool:
        """Whether the socket does not take more for now."""
        raise NotImplementedError

    def close_socket(self, *, flush: bool) -> None:
        """Close the socket; with `flush` after what was written is sent."""
        raise NotImplementedError

    def hold(self, data: bytes, sent: int) -> None:
        """Keep what a write to `direct` left over."""
        raise NotImplementedError

    def fail(self) -> None:
        """A write to `direct` failed."""
        raise NotImplementedError

    def shutdown_write(self) -> None:
        """End our half of the connection behind what was written."""
        raise NotImplementedError

    def listen(self, *, to: bool) -> None:
        """Read from the socket, or do not for now."""
        raise NotImplementedError

    # Out.

    @staticmethod
    def encode(message: Message) -> bytes:
        return message.frame

    def lags(self) -> bool:
        """Whether something waits for the client to read."""
        return self.outbox is not None or self.blocked()

    def backlog(self) -> Outbox | None:
        """What must be emptied before more of a replay is sent; None when the socket takes more."""
        if self.state == CLOSED or not self.lags():
            return None
        if self.outbox is None:
            self.outbox = Outbox()
        return self.outbox

    def send(self, message: Message) -> None:
        """Write now when nothing waits, else queue within bounds; a client that passes them is cut."""
        if self.state != OPEN:
            return
        if not self.lags():
            self.write(self.encode(message))
            return
        if self.outbox is None:
            self.outbox = Outbox()
        if not self.outbox.put(message, self.shared.config, self.shared.counters):
            self.cut()

    def send_all(self, messages: Sequence[Message]) -> None:
        """Send several, in one write when nothing waits."""
        if self.state == OPEN and not self.lags():
            self.write(b"".join(map(self.encode, messages)))
            return
        for message in messages:
            self.send(message)

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it."""
        while self.outbox is not None and self.state != CLOSED:
            if not self.outbox.messages:
                self.outbox.release()
                self.outbox = None
                break
            if self.blocked():
                return
            waiting = self.outbox.messages
            size = count = 0
            while count < len(waiting) and size < FLUSH_SIZE:
                size += len(waiting[count].frame)
                count += 1
            batch, self.outbox.messages = waiting[:count], waiting[count:]
            self.outbox.size -= size
            self.write(b"".join(map(self.encode, batch)))

    def caught_up(self) -> None:
        """Nothing waits for the socket any more."""
        self.shared.behind.discard(self)
        if self.state == CLOSING:
            self.shared.linger.add(self)

    # In.

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer; what comes behind a `pause` is kept."""
        if self.halted:
            self.reader.buffer += data
            return
        self.taken = 0
        try:
            for opcode, payload in self.reader.feed(data):
                if self.state == OPEN:
                    self.taken += 1
                    self._message(opcode, payload)
                elif opcode == frames.CLOSE:
                    self.finish()
                if self.state == CLOSED or self.halted:
                    return
        except FrameError as error:
            self._protocol_error(error.close)
        except ProtocolError as error:
            self._protocol_error(closes.PROTOCOL_ERROR.because(str(error)))
        else:
            return
        if self.state == CLOSING:
            self.feed(b"")  # the peer's own close frame may have come with the error

    def pause(self) -> None:
        """Take nothing more until `resume`."""
        self.halted = True
        if self.state != CLOSED:
            self.listen(to=False)

    def resume(self) -> None:
        if self.halted and self.state != CLOSED:
            self.halted = False
            self.listen(to=True)
            self.feed(b"")

    def _message(self, opcode: int, payload: str | bytes) -> None:
        if opcode <= frames.BINARY:
            self.shared.counters.messages_received += 1
            self.owner.received(payload)
            return
        payload = payload if isinstance(payload, bytes) else b""  # the reader gives control frames as bytes
        if opcode == frames.PONG:
            self.owner.pong()
        elif opcode == frames.PING:
            self.send(RawFrames(frames.frame(frames.PONG, payload)))
        else:
            self.close(closes.echo(int.from_bytes(payload[:2], "big")) if payload else closes.NORMAL)
            self.finish()
            self.owner.lost(closes.TRANSPORT_CLOSE)

    def _protocol_error(self, close: Close) -> None:
        if self.state == OPEN:
            self.shared.counters.protocol_errors += 1
            self.close(close)
            self.owner.lost(closes.TRANSPORT_ERROR)

    # The end.

    def close(self, close: Close = closes.NORMAL) -> None:
        """Send a close frame behind what waits; the socket is closed when the peer has answered, or shortly after.

        Until then the socket is read and our half of it stays open: a client that finds it closed, or reset because of
        unread data, while it answers the close frame reports 1006 in place of our code.
        """
        if self.state != OPEN:
            return
        self.send(RawFrames(frames.close_frame(close.code, close.reason)))
        if self.state != OPEN:
            return
        self._closing()
        if self.halted:
            self.halted = False
            self.listen(to=True)
        if not self.lags():
            self.shared.linger.add(self)

    def _closing(self) -> None:
        self.state = CLOSING
        self.direct = -1
        self.counted = self.owner.environ.peer
        self.shared.admission.hold(self.counted)

    def unanswered(self) -> None:
        """The peer has not answered our close frame: end our half; it has a moment to end its own."""
        if self.state != CLOSED:
            self.shared.draining.add(self)
            self.shutdown_write()

    def cut(self) -> None:
        """End a client that does not keep up."""
        if self.state == OPEN:
            self.shared.counters.slow_disconnects += 1
            # In its own turn of the loop: this may be the middle of somebody's broadcast.
            asyncio.get_running_loop().call_soon(self.owner.lost, closes.SLOW_CLIENT)
        self.abort()

    def finish(self) -> None:
        """Close the socket after our close frame, now that the peer has sent its own."""
        if not self.lags():
            self._end(flush=True)

    def abort(self) -> None:
        """Close the socket at once."""
        self._end(flush=False)

    def _end(self, *, flush: bool) -> None:
        if self.state == CLOSED:
            return
        self.state = CLOSED
        self.direct = -1
        if self.outbox is not None:
            self.outbox.release()
            self.outbox = None
        if self.counted is not None:
            self.shared.admission.release(self.counted)
            self.counted = None
        self.shared.gone(self)
        self.shared.behind.discard(self)
        self.shared.linger.discard(self)
        self.shared.draining.discard(self)
        self.close_socket(flush=flush)

    def ended(self) -> None:
        """The socket is gone."""
        was = self.state
        self.abort()
        if was == OPEN:
            self.owner.lost(closes.TRANSPORT_CLOSE)
