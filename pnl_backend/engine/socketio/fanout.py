"""One message to many clients: written to each socket from one loop, in order, without holding the event loop."""

import asyncio
from collections.abc import Sequence
from os import write
from typing import Protocol

from pnl_backend.engine.limits import CHUNK
from pnl_backend.engine.net.connection import Connection
from pnl_backend.engine.net.counters import Counters
from pnl_backend.engine.net.messages import Message


class Recipient(Protocol):
    """A client that gets broadcasts."""

    connection: Connection | None
    """Its WebSocket, when it has one that broadcasts may be written to."""
    variant: int
    """Which of a broadcast's encodings it gets."""

    def deliver(self, message: Message) -> None:
        """The ordinary path."""


class Broadcast:
    """One broadcast on its way; `done` when everybody was served."""

    __slots__ = ("behind", "done", "encoded", "later", "position", "recipients", "todo", "variants")

    def __init__(
        self, recipients: Sequence[Recipient], variants: Sequence[Message], behind: Sequence[Message] | None
    ) -> None:
        self.recipients = recipients
        self.variants = variants
        self.behind = behind
        # Framed here, where what cannot be encoded is still its sender's error.
        self.encoded = [(variant.frame, len(variant.frame)) for variant in variants]
        self.position = 0
        self.later: list[Recipient] = []
        """Those who cannot be written to at once: they are served after everybody else."""
        self.todo: set[Recipient] | None = None
        """Who is still to be served; built when it is first needed."""
        self.done: asyncio.Future[None] | None = None

    @property
    def over(self) -> bool:
        return self.position >= len(self.recipients) and not self.later


class Fanout:
    """Broadcasts of one engine, in the order in which they were given."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._active: list[Broadcast] = []
        self._pump: asyncio.Task[None] | None = None

    def publish(
        self,
        recipients: Sequence[Recipient],
        variants: Sequence[Message],
        behind: Sequence[Message] | None = None,
    ) -> Broadcast:
        """Start a broadcast; small ones are over when this returns. Those that lag get `behind` in its place."""
        broadcast = Broadcast(recipients, variants, behind)
        self._active.append(broadcast)
        if self._active[0] is broadcast:
            self._serve(broadcast)
            if len(recipients) <= CHUNK and broadcast.later:
                self._serve(broadcast)
            if broadcast.over:
                self._active.remove(broadcast)
                return broadcast
        broadcast.done = asyncio.get_running_loop().create_future()
        if self._pump is None:
            self._pump = asyncio.ensure_future(self._run())
        return broadcast

    @property
    def active(self) -> bool:
        """Whether a broadcast is under way."""
        return bool(self._active)

    def settle(self, recipient: Recipient) -> None:
        """Give a client what broadcasts under way still owe it, before something newer is sent to it alone."""
        for broadcast in self._active:
            if broadcast.todo is None:
                broadcast.todo = {*broadcast.recipients[broadcast.position :], *broadcast.later}
            if recipient in broadcast.todo:
                broadcast.todo.discard(recipient)
                self._counters.messages_sent += 1
                self._deliver(broadcast, recipient)

    async def _run(self) -> None:
        while self._active:
            await asyncio.sleep(0)
            broadcast = self._active[0]
            self._serve(broadcast)
            if broadcast.over:
                self._active.pop(0)
                if broadcast.done is not None and not broadcast.done.done():
                    broadcast.done.set_result(None)
        self._pump = None

    def _serve(self, broadcast: Broadcast) -> None:
        """Serve the next chunk: first of all, then of those who had to wait."""
        start = broadcast.position
        if start < len(broadcast.recipients):
            broadcast.position = start + CHUNK
            chunk = self._owed(broadcast, broadcast.recipients[start : start + CHUNK])
            waiting = len(broadcast.later)
            self._write(broadcast, chunk)
            self._counters.messages_sent += len(chunk) - (len(broadcast.later) - waiting)
            return
        turn, broadcast.later = broadcast.later[:CHUNK], broadcast.later[CHUNK:]
        chunk = self._owed(broadcast, turn)
        if broadcast.todo is not None:
            broadcast.todo.difference_update(chunk)
        self._counters.messages_sent += len(chunk)
        for recipient in chunk:
            self._deliver(broadcast, recipient)

    @staticmethod
    def _owed(broadcast: Broadcast, chunk: Sequence[Recipient]) -> Sequence[Recipient]:
        """Without those that `settle` has served already."""
        return chunk if broadcast.todo is None else [recipient for recipient in chunk if recipient in broadcast.todo]

    @staticmethod
    def _write(broadcast: Broadcast, recipients: Sequence[Recipient]) -> None:
        """Write to each socket: one system call a client, and as little else as possible."""
        encoded, later, todo = broadcast.encoded, broadcast.later, broadcast.todo
        for recipient in recipients:
            connection = recipient.connection
            if connection is None or (descriptor := connection.direct) < 0:
                later.append(recipient)
                continue
            if todo is not None:
                todo.discard(recipient)
            frame, size = encoded[recipient.variant]
            try:
                sent = write(descriptor, frame)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                connection.fail()
                continue
            if sent != size:
                connection.hold(frame, sent)

    @staticmethod
    def _deliver(broadcast: Broadcast, recipient: Recipient) -> None:
        """The ordinary path: polling, upgrading, TLS, or behind."""
        chosen, connection = broadcast.variants, recipient.connection
        if broadcast.behind is not None and connection is not None and connection.lags():
            chosen = broadcast.behind
        recipient.deliver(chosen[recipient.variant])
