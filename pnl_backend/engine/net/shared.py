"""What all connections of one engine share: configuration, counters, caps, deadlines, readiness and tasks."""

import asyncio
from collections.abc import Hashable
from typing import Protocol

from pnl_backend.engine.closes import NORMAL, Close
from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.limits import CLOSE_TIMEOUT, DRAIN_TIMEOUT
from pnl_backend.engine.net.admission import Admission
from pnl_backend.engine.net.counters import Counters
from pnl_backend.engine.net.readiness import readiness
from pnl_backend.engine.net.tasks import Tasks
from pnl_backend.engine.net.timers import Deadlines, Timers


class SlowClient(Hashable, Protocol):
    """A client for which something waits."""

    def cut(self) -> None:
        """End it: what waits has waited too long."""


class OpenConnection(SlowClient, Protocol):
    """A connection whose socket is not closed yet."""

    def close(self, close: Close = NORMAL) -> None:
        """Send a close frame and close the socket once the peer has answered it."""

    def unanswered(self) -> None:
        """Go on without the peer's close frame."""

    def abort(self) -> None:
        """Close the socket at once."""


class SharedState:
    """What all connections of one engine share."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.counters = Counters()
        self.admission = Admission(config)
        self.timers = Timers()
        self.readiness = readiness()
        self.behind = Deadlines[SlowClient](self.timers, config.slow_client_timeout, lambda client: client.cut())
        self.linger = Deadlines[OpenConnection](self.timers, CLOSE_TIMEOUT, lambda connection: connection.unanswered())
        """Connections that have our close frame and owe theirs."""
        self.draining = Deadlines[OpenConnection](self.timers, DRAIN_TIMEOUT, lambda connection: connection.abort())
        """Connections whose peer owes the end of its half."""
        self.open: set[OpenConnection] = set()
        self.tasks = Tasks()
        self._empty: asyncio.Event | None = None

    async def quiet(self) -> None:
        """Wait until no connection is left."""
        if self.open:
            self._empty = asyncio.Event()
            await self._empty.wait()

    def gone(self, connection: OpenConnection) -> None:
        self.open.discard(connection)
        if self._empty is not None and not self.open:
            self._empty.set()
