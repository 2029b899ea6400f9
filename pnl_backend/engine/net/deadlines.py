"""The engine's deadlines: for each, which method of the item is called when its time is up."""

from collections.abc import Hashable
from typing import Protocol

from pnl_backend.engine.net.timers import Deadlines


class Pinged(Hashable, Protocol):
    """Whoever is pinged: sessions and plain feeds."""

    def beat(self) -> None:
        """Send a ping."""

    def expire(self) -> None:
        """End, because the ping was not answered."""


class Slow(Hashable, Protocol):
    """Whoever may be slow to take what is sent to it."""

    def cut(self) -> None:
        """End, because what waits has waited too long."""


class Closing(Hashable, Protocol):
    """A connection that waits for its peer's close."""

    def unanswered(self) -> None:
        """Go on without the peer's close frame."""

    def abort(self) -> None:
        """Close the socket at once."""


class Departing(Hashable, Protocol):
    """A session that has ended and whose client may still fetch what waits."""

    def forget(self) -> None:
        """Remove it from the server."""


class Probing(Hashable, Protocol):
    """An upgrade under way."""

    def give_up(self) -> None:
        """End it; the session stays on polling."""


class PingsDue(Deadlines[Pinged]):
    """Those that get their next ping."""

    __slots__ = ()

    def expire(self, item: Pinged) -> None:
        item.beat()


class PongsDue(Deadlines[Pinged]):
    """Those whose ping is not answered yet."""

    __slots__ = ()

    def expire(self, item: Pinged) -> None:
        item.expire()


class SlowClients(Deadlines[Slow]):
    """Those for whom something waits."""

    __slots__ = ()

    def expire(self, item: Slow) -> None:
        item.cut()


class ClosesDue(Deadlines[Closing]):
    """Those that have our close frame and owe theirs."""

    __slots__ = ()

    def expire(self, item: Closing) -> None:
        item.unanswered()


class DrainsDue(Deadlines[Closing]):
    """Those whose peer owes the end of its half of the connection."""

    __slots__ = ()

    def expire(self, item: Closing) -> None:
        item.abort()


class Departures(Deadlines[Departing]):
    """Those that have ended with something still to fetch."""

    __slots__ = ()

    def expire(self, item: Departing) -> None:
        item.forget()


class ProbesDue(Deadlines[Probing]):
    """Upgrades that are not complete."""

    __slots__ = ()

    def expire(self, item: Probing) -> None:
        item.give_up()
