"""What waits for one client until it reads; no I/O."""

import asyncio

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.net.counters import Counters
from pnl_backend.engine.net.messages import Message


class Outbox:
    """Messages that wait for one client, bounded; a whole message replaces those under its key."""

    __slots__ = ("_emptied", "messages", "size")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.size = 0
        self._emptied: asyncio.Future[None] | None = None

    def put(self, message: Message, config: EngineConfig, counters: Counters) -> bool:
        """Queue a message; False when that would pass the bounds."""
        if message.key is not None:
            kept = [waiting for waiting in self.messages if waiting.key != message.key]
            counters.dropped += len(self.messages) - len(kept)
            if len(kept) != len(self.messages):
                self.messages = kept
                self.size = sum(len(waiting.frame) for waiting in kept)
        self.messages.append(message)
        self.size += len(message.frame)
        return len(self.messages) <= config.max_queue_events and self.size <= config.max_queue_bytes

    def take(self, packets: int) -> list[Message]:
        """Remove what fits into this number of packets from the front; a longer message is split."""
        taken: list[Message] = []
        while self.messages and packets > 0:
            message = self.messages.pop(0)
            if len(message.packets) > packets:
                self.messages.insert(0, Message(message.packets[packets:]))
                message = Message(message.packets[:packets])
            packets -= len(message.packets)
            taken.append(message)
        self.size = sum(len(waiting.frame) for waiting in self.messages)
        return taken

    async def emptied(self) -> None:
        """Wait until `release` is called; callers look again then, for something else may wait by now."""
        if self._emptied is None:
            self._emptied = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._emptied)

    def release(self) -> None:
        """Resume those that wait for room: the messages were taken, or nobody will take them."""
        if self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.set_result(None)
