"""WebSockets for sessions that exist already: the probe of one that polls, and those that come too many."""

from pnl_backend.engine import closes
from pnl_backend.engine.closes import Close
from pnl_backend.engine.engineio import packets
from pnl_backend.engine.engineio.session import Session
from pnl_backend.engine.net.connection import Connection
from pnl_backend.engine.net.messages import ProtocolError
from pnl_backend.engine.net.requests import Environ


class Probe:
    """A WebSocket that a polling session may move to: ping probe, pong probe, upgrade."""

    __slots__ = ("answered", "connection", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.connection: Connection | None = None
        self.answered = False
        session.probe = self

    @property
    def environ(self) -> Environ:
        return self.session.environ

    def attached(self, connection: Connection, answer: bytes) -> None:
        self.connection = connection
        connection.write(answer)
        self.session.engine.probing.add(self)

    def received(self, data: str | bytes) -> None:
        if data == "2probe" and not self.answered and self.connection is not None:
            self.answered = True
            self.connection.send(packets.PROBE_ANSWER)
            if self.session.poll is not None:
                # The client waits for its poll to end before it upgrades.
                self.session.wake()
        elif data == packets.UPGRADE and self.answered and self.connection is not None:
            self.session.engine.probing.discard(self)
            self.session.upgrade(self.connection)
        else:
            raise ProtocolError("probe expected")

    def pong(self) -> None:
        """Not part of the probe."""

    def lost(self, close: Close) -> None:  # noqa: ARG002 - the session goes on as it was, whatever the reason
        self.connection = None
        self.give_up()

    def give_up(self) -> None:
        """Back to polling, with all that waits."""
        self.session.engine.probing.discard(self)
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.session.probe is self:
            self.session.probe = None
            if self.session.outbox is not None:
                self.session.wake()


class SecondWebSocket:
    """One more WebSocket for a session that has its own or is moving to it: accepted, then closed, as Node does."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def environ(self) -> Environ:
        return self._session.environ

    def attached(self, connection: Connection, answer: bytes) -> None:
        self._session.engine.shared.counters.refused += 1
        connection.write(answer)
        connection.close(closes.SECOND_WEBSOCKET)

    def received(self, data: str | bytes) -> None:
        """Nothing is taken from it."""

    def pong(self) -> None:
        """Nor is it pinged."""

    def lost(self, close: Close) -> None:
        """The session goes on."""
