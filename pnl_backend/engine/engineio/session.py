"""One Engine.IO session: polling, WebSocket and the upgrade between them, pings, and the end of it.

https://socket.io/docs/v4/engine-io-protocol/
"""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

from pnl_backend.engine import closes, refusals
from pnl_backend.engine.closes import Close
from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.engineio import packets
from pnl_backend.engine.limits import FLUSH_SIZE, MAX_PAYLOAD_PACKETS
from pnl_backend.engine.net.connection import Connection
from pnl_backend.engine.net.messages import SEPARATOR, Message, ProtocolError
from pnl_backend.engine.net.outbox import Outbox
from pnl_backend.engine.net.requests import Environ, Refusal
from pnl_backend.engine.net.shared import SharedState
from pnl_backend.engine.net.timers import Deadlines, Timeouts

OPEN, CLOSING, CLOSED, OVERFLOWED = range(4)
"""Overflowed: the queue's limits were passed, so nothing more is sent; `cut` follows in its own turn of the loop."""


class PendingUpgrade(Hashable, Protocol):
    """A WebSocket to which a polling session is moving."""

    answered: bool
    """Whether the client's probe is answered: from then on the session sends nothing on polls."""

    def give_up(self) -> None:
        """End it; the session stays on polling."""


class SessionServer(Protocol):
    """What a session uses of the server that it belongs to."""

    config: EngineConfig
    shared: SharedState
    open_packets: packets.OpenPackets
    resting: "Deadlines[Session]"
    unanswered: "Deadlines[Session]"
    late: "Deadlines[Session]"
    departing: "Deadlines[Session]"
    probing: Deadlines[PendingUpgrade]
    bodies: Timeouts

    @property
    def sessions(self) -> "Mapping[str, Session]": ...

    def new_session(self, environ: Environ) -> "Session": ...

    def opened(self, session: "Session") -> None: ...

    async def ready(self, session: "Session") -> None: ...

    def upgraded(self, session: "Session") -> None: ...

    def message(self, session: "Session", data: str | bytes) -> None: ...

    def closed(self, session: "Session", reason: str) -> None: ...

    def forget(self, session: "Session") -> None: ...


class Session:
    """A client between its OPEN packet and its end, whatever carries it."""

    __slots__ = (
        *("body", "connection", "data", "engine", "environ", "outbox"),
        *("pinged", "poll", "posting", "probe", "sid", "state"),
    )

    def __init__(self, engine: SessionServer, sid: str, environ: Environ) -> None:
        self.engine = engine
        self.sid = sid
        self.environ = environ
        self.connection: Connection | None = None
        self.probe: PendingUpgrade | None = None
        self.poll: asyncio.Future[None] | None = None
        self.posting = False
        self.body: asyncio.Timeout | None = None
        """The deadline of a POST's body that is still to come."""
        self.outbox: Outbox | None = None
        self.data: dict[str, Any] | None = None
        self.state = OPEN
        self.pinged = False

    # Out.

    def send(self, message: Message) -> None:
        """Send by whatever carries the session now, behind all that was sent before."""
        if self.state != OPEN:
            return
        if self.connection is not None:
            self.connection.send(message)
            return
        if self.outbox is None:
            self.outbox = Outbox()
        if message is not packets.PING_MESSAGE and self not in self.engine.late:
            self.engine.late.add(self)
        if not self.outbox.put(message, self.engine.config, self.engine.shared.counters):
            # In its own turn of the loop: this may be the middle of somebody's broadcast.
            asyncio.get_running_loop().call_soon(self.cut)
            self.state = OVERFLOWED
            self._drop()
        elif self.probe is None or not self.probe.answered:
            self.wake()

    def send_all(self, messages: Sequence[Message]) -> None:
        """Send several, in one write where nothing waits."""
        if self.state == OPEN and self.connection is not None:
            self.connection.send_all(messages)
            return
        for message in messages:
            self.send(message)

    def wake(self) -> None:
        """Let the pending poll, if there is one, take what waits."""
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(None)

    def take(self) -> str:
        """What waits, as one polling payload; what does not fit is for the next poll, which has its own deadline."""
        if self.outbox is None:
            return ""
        taken = self.outbox.take(MAX_PAYLOAD_PACKETS)
        if not self.outbox.messages:
            self.engine.late.discard(self)
            self._drop()
            if self.state == CLOSING:
                self.forget()
        elif self.state == OPEN:
            self.engine.late.add(self)
        elif self.state == CLOSING:
            self.engine.departing.add(self)
        return SEPARATOR.join(message.payload for message in taken)

    async def writable(self) -> bool:
        """Wait until the client takes more of a replay; False when the session is over."""
        while self.state == OPEN:
            if (backlog := self._backlog()) is None:
                return True
            await backlog.emptied()
        return False

    def _backlog(self) -> Outbox | None:
        """What must be taken before more of a replay is sent: a poll's answer is filled, not the queue."""
        if self.connection is not None:
            return self.connection.backlog()
        waiting = self.outbox
        if waiting is None or (len(waiting.messages) < MAX_PAYLOAD_PACKETS and waiting.size < FLUSH_SIZE):
            return None
        return waiting

    def _drop(self) -> None:
        """Forget what waits."""
        if self.outbox is not None:
            self.outbox.release()
            self.outbox = None

    # In.

    def packet(self, kind: str, data: str | bytes) -> None:
        """Take one packet from the client."""
        if self.state != OPEN:
            return
        if kind == packets.MESSAGE:
            self.engine.message(self, data)
        elif kind == packets.PONG:
            if self.pinged:
                self.pinged = False
                self.engine.unanswered.discard(self)
                self.engine.resting.add(self)
        elif kind == packets.CLOSE:
            self.end(closes.CLIENT_DISCONNECT, packets.NOOP_MESSAGE)
        elif kind != packets.NOOP:
            raise ProtocolError("packet type is not a client's to send here")

    # A session owns its WebSocket.

    def attached(self, connection: Connection, answer: bytes) -> None:
        self.connection = connection
        connection.write(answer + self.engine.open_packets.frame(self.sid))
        self.engine.opened(self)

    def received(self, data: str | bytes) -> None:
        self.packet(*packets.decode_packet(data))

    def pong(self) -> None:
        """A WebSocket pong: Engine.IO has pings of its own."""

    def lost(self, close: Close) -> None:
        self.connection = None
        self.end(close)

    # Long polling.

    async def answer_poll(self) -> str:
        """Wait for something to send; Refusal when the request does not belong here."""
        if self.poll is not None:
            self.end(closes.TRANSPORT_ERROR, packets.CLOSE_MESSAGE)
            raise Refusal.of(refusals.TWO_POLLS)
        if self.probe is not None and self.probe.answered:
            return packets.NOOP
        if self.outbox is None:
            poll = self.poll = asyncio.get_running_loop().create_future()
            try:
                await poll
            except asyncio.CancelledError:
                self.end(closes.TRANSPORT_CLOSE)
                raise
            finally:
                self.poll = None
        if self.outbox is None or (self.probe is not None and self.probe.answered):
            return packets.NOOP
        return self.take()

    def upgrade(self, connection: Connection) -> None:
        """Go on over the WebSocket that the probe opened; after `depart` send what waits there, and close it."""
        self.probe = None
        self.connection = connection
        connection.owner = self
        self.wake()
        self.engine.late.discard(self)
        waiting = self.outbox.messages if self.outbox is not None else []
        self._drop()
        if self.state == OPEN:
            self.engine.upgraded(self)
        for message in waiting:
            connection.send(message)
        if self.state == CLOSING:
            self.connection = None
            connection.close()
            self.forget()

    # Pings.

    def keep_alive(self) -> None:
        """It is time for a ping."""
        self.pinged = True
        self.engine.unanswered.add(self, start=self.engine.resting.due)
        self.send(packets.PING_MESSAGE)

    def expire(self) -> None:
        """The ping was not answered in time."""
        self.engine.shared.counters.ping_timeouts += 1
        self.end(closes.PING_TIMEOUT, packets.CLOSE_MESSAGE)

    def cut(self) -> None:
        """What waits for the next poll has waited too long, or has grown too much."""
        if self.state == OVERFLOWED:
            self.state = OPEN
        if self.state == OPEN:
            self.engine.shared.counters.slow_disconnects += 1
        self.end(closes.SLOW_CLIENT)

    # The end.

    def end(self, close: Close, last: Message | None = None) -> None:
        """End the session; a pending poll is answered with `last`, or with a NOOP."""
        if self.state != OPEN:
            return
        self.state = CLOSED
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.close(close)
        if self.poll is not None and not self.poll.done():
            if self.outbox is None:
                self.outbox = Outbox()
            self.outbox.put(last or packets.NOOP_MESSAGE, self.engine.config, self.engine.shared.counters)
            self.wake()
        if self.body is not None:
            self.body.reschedule(asyncio.get_running_loop().time())
        self.engine.closed(self, close.reason)
        self.forget()

    def depart(self, close: Close) -> None:
        """End gracefully: what waits and a CLOSE are kept for a polling client's next request, for a short while."""
        if self.state == OPEN and self.connection is None and (self.poll is None or self.outbox is not None):
            self.send(packets.CLOSE_MESSAGE)
            if self.state == OPEN:
                self.state = CLOSING
                self.engine.departing.add(self)
                self.engine.closed(self, close.reason)
        else:
            self.end(close, packets.CLOSE_MESSAGE)

    def forget(self) -> None:
        """Remove it from the server."""
        self.state = CLOSED
        if self.probe is not None:
            self.probe.give_up()
        self.engine.late.discard(self)
        if self.outbox is not None:
            self.outbox.release()
        self.engine.forget(self)
