"""One client's socket: frames in, frames out, backpressure; every kind of feed shares it."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from pnl_backend.engine import frames
from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.frames import FrameError, FrameReader
from pnl_backend.engine.outbox import Outbox
from pnl_backend.engine.packets import Message, ProtocolError
from pnl_backend.engine.timers import Deadlines, Timers

OPEN, CLOSING, CLOSED = range(3)
FLUSH_SIZE = 64 * 1024
"""How much of what waits is joined into one write."""
LINGER = 0.8
"""Seconds between our close frame and hanging up on a peer that does not answer it."""


@dataclass(slots=True)
class Counters:
    """What the engine counts since its start."""

    messages_sent: int = 0
    messages_received: int = 0
    dropped: int = 0
    slow_disconnects: int = 0
    refused: int = 0
    protocol_errors: int = 0
    handler_errors: int = 0
    ping_timeouts: int = 0
    unknown_events: int = 0


class Owner(Protocol):
    """Who a connection belongs to: an Engine.IO session, an upgrade under way, or a plain feed."""

    def attached(self, connection: "Connection", answer: bytes) -> None:
        """The connection stands; `answer` (the handshake's) goes out before anything else."""

    def received(self, data: str | bytes) -> None: ...

    def pong(self) -> None: ...

    def lost(self, reason: str) -> None:
        """The connection is over, once; not called after the owner itself closed it."""


class Wiring:
    """What all connections of one engine share."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.counters = Counters()
        self.timers = Timers()
        self.behind: Deadlines[Connection] = self.timers.queue(config.slow_client_timeout, Connection.cut)
        self.linger: Deadlines[Connection] = self.timers.queue(LINGER, Connection.abort)
        self.open: set[Connection] = set()
        self._empty: asyncio.Event | None = None

    async def quiet(self) -> None:
        """Wait until no connection is left."""
        if self.open:
            self._empty = asyncio.Event()
            await self._empty.wait()

    def gone(self, connection: "Connection") -> None:
        self.open.discard(connection)
        if self._empty is not None and not self.open:
            self._empty.set()


class Connection:
    """One WebSocket after its handshake; `direct` is the descriptor to write to while nothing waits, else -1."""

    __slots__ = ("direct", "halted", "outbox", "owner", "reader", "state", "wiring")

    def __init__(self, wiring: Wiring, owner: Owner) -> None:
        self.wiring = wiring
        self.owner = owner
        self.direct = -1
        self.outbox: Outbox | None = None
        self.reader = FrameReader(wiring.config.max_http_buffer_size)
        self.state = OPEN
        self.halted = False
        wiring.open.add(self)

    # What each kind of socket does in its own way.

    def write(self, data: bytes) -> None:
        """Write to a socket that nothing waits for."""
        raise NotImplementedError

    def blocked(self) -> bool:
        """Whether the socket does not take more for now."""
        raise NotImplementedError

    def hang_up(self, *, politely: bool) -> None:
        """Give the socket back, `politely` behind what was written."""
        raise NotImplementedError

    def hold(self, data: bytes, sent: int) -> None:
        """Keep what a write to `direct` left over."""
        raise NotImplementedError

    def fail(self) -> None:
        """A write to `direct` failed."""
        raise NotImplementedError

    def say_no_more(self) -> None:
        """End our half of the connection."""
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
        if not self.outbox.put(message, self.wiring):
            self.cut()

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

    # In.

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer; what comes behind a `pause` is kept."""
        if self.halted:
            self.reader.buffer += data
            return
        try:
            for opcode, payload in self.reader.feed(data):
                if self.state == OPEN:
                    self._message(opcode, payload)
                elif opcode == frames.CLOSE:
                    self.finish()
                if self.state == CLOSED or self.halted:
                    return
        except FrameError as error:
            self._offended(error.code, str(error))
        except ProtocolError as error:
            self._offended(frames.POLICY, str(error))

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
            self.wiring.counters.messages_received += 1
            self.owner.received(payload)
            return
        payload = payload if isinstance(payload, bytes) else b""  # the reader gives control frames as bytes
        if opcode == frames.PONG:
            self.owner.pong()
        elif opcode == frames.PING:
            self.send(RawFrames(frames.frame(frames.PONG, payload)))
        else:
            self.close(int.from_bytes(payload[:2], "big") if payload else frames.NORMAL)
            self.finish()
            self.owner.lost("transport close")

    def _offended(self, code: int, reason: str) -> None:
        if self.state == OPEN:
            self.wiring.counters.protocol_errors += 1
            self.close(code, reason)
            if self.state == CLOSING and not self.lags():
                # The offender sees the end at once; what it still sends is read away, or a reset could eat our frame.
                self.say_no_more()
            self.owner.lost("transport error")

    # The end.

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Say goodbye behind what waits; hang up when the peer has, or shortly after."""
        if self.state != OPEN:
            return
        self.send(RawFrames(frames.close_frame(code, reason)))
        if self.state == OPEN:
            self.state = CLOSING
            self.direct = -1
            self.wiring.linger.add(self)

    def cut(self) -> None:
        """End a client that does not keep up."""
        if self.state == OPEN:
            self.wiring.counters.slow_disconnects += 1
            # In its own turn of the loop: this may be the middle of somebody's broadcast.
            asyncio.get_running_loop().call_soon(self.owner.lost, "slow client")
        self.abort()

    def finish(self) -> None:
        """Hang up behind our close frame, now that the peer has sent its own."""
        if not self.lags():
            self._end(politely=True)

    def abort(self) -> None:
        """Hang up at once."""
        self._end(politely=False)

    def _end(self, *, politely: bool) -> None:
        if self.state == CLOSED:
            return
        self.state = CLOSED
        self.direct = -1
        if self.outbox is not None:
            self.outbox.release()
            self.outbox = None
        self.wiring.gone(self)
        self.wiring.behind.discard(self)
        self.wiring.linger.discard(self)
        self.hang_up(politely=politely)

    def ended(self) -> None:
        """The socket is gone."""
        was = self.state
        self.abort()
        if was == OPEN:
            self.owner.lost("transport close")


class RawFrames(Message):
    """Frames that are no Engine.IO packets: pongs and closes."""

    __slots__ = ()

    def __init__(self, data: bytes) -> None:
        super().__init__(())
        self._frame = self._event = data
