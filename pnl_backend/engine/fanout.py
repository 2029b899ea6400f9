"""One message to many clients: written to each socket from one loop, in order, without holding the event loop."""

import asyncio
from collections.abc import Sequence
from os import write
from typing import Protocol

from pnl_backend.engine.connection import Connection, Counters
from pnl_backend.engine.packets import Message

CHUNK = 256
"""Clients served before the loop gets its turn: about two milliseconds."""


class Recipient(Protocol):
    """Whoever gets broadcasts."""

    connection: Connection | None
    """Its WebSocket, when it has one that broadcasts may be written to."""
    variant: int
    """Which of a broadcast's encodings it gets."""

    def deliver(self, message: Message) -> None:
        """The ordinary path."""


class Broadcast:
    """One broadcast on its way; `done` when everybody had it."""

    __slots__ = ("behind", "done", "position", "recipients", "todo", "variants")

    def __init__(
        self, recipients: Sequence[Recipient], variants: Sequence[Message], behind: Sequence[Message] | None
    ) -> None:
        self.recipients = recipients
        self.variants = variants
        self.behind = behind
        self.position = 0
        self.todo: set[Recipient] | None = None
        self.done: asyncio.Future[None] | None = None


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
        if len(self._active) == 1:
            self._serve(broadcast)
            if broadcast.position >= len(recipients):
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
                broadcast.todo = set(broadcast.recipients[broadcast.position :])
            if recipient in broadcast.todo:
                broadcast.todo.discard(recipient)
                self._deliver(broadcast, [recipient])

    async def _run(self) -> None:
        while self._active:
            await asyncio.sleep(0)
            broadcast = self._active[0]
            self._serve(broadcast)
            if broadcast.position >= len(broadcast.recipients):
                self._active.pop(0)
                if broadcast.done is not None and not broadcast.done.done():
                    broadcast.done.set_result(None)
        self._pump = None

    def _serve(self, broadcast: Broadcast) -> None:
        """Serve the next chunk."""
        start = broadcast.position
        chunk = broadcast.recipients[start : start + CHUNK]
        broadcast.position = start + CHUNK
        if broadcast.todo is not None:
            chunk = [recipient for recipient in chunk if recipient in broadcast.todo]
            broadcast.todo.difference_update(chunk)
        self._deliver(broadcast, chunk)

    def _deliver(self, broadcast: Broadcast, recipients: Sequence[Recipient]) -> None:
        """The loop that the product exists for: a system call a client, and as little else as possible."""
        variants, behind = broadcast.variants, broadcast.behind
        encoded = [(variant.frame, len(variant.frame)) for variant in variants]
        for recipient in recipients:
            connection = recipient.connection
            if connection is None or (descriptor := connection.direct) < 0:
                chosen = variants
                if behind is not None and connection is not None and connection.lags():
                    chosen = behind
                recipient.deliver(chosen[recipient.variant])
                continue
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
        self._counters.messages_sent += len(recipients)
