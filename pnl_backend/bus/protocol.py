"""What the bus offers to the rest of the server; every call raises BusDown when the bus cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pnl_backend.domain.readings import SourceName
from pnl_backend.domain.record import Record
from pnl_backend.wire.operations import Breakers

Role = Literal["all", "poll", "push"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an entry stands in the stream: the leader's fence, then the snapshot's number. Later places are greater."""

    fence: int
    seq: int

    def __str__(self) -> str:
        return f"{self.fence}-{self.seq}"


BEGIN = Place(0, 0)
"""Before every entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream: a snapshot with the names of the sources that its leader has configured, or a takeover.

    A takeover has no record; its `seq` is the last one before it, and `leader` the id of the node that took over.
    """

    place: Place
    record: Record | None = None
    configured: frozenset[SourceName] = frozenset()
    leader: str = ""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a node says of itself; it is forgotten when it stops saying so. `seq` is the last snapshot that it has."""

    id: str
    role: Role
    state: str
    seq: int = 0
    clients: int = 0
    since: int = 0
    """When it started, ms since the epoch."""
    version: str = ""
    lag_ms: int = 0
    leads: bool = False
    breakers: Breakers | None = None
    """Of the leader."""


class Stream(Protocol):
    """Committed snapshots in the order of their numbers."""

    async def add(self, fence: int, record: Record, configured: frozenset[SourceName], *, keep: int) -> bool:
        """Add the next snapshot, and drop the oldest beyond about `keep`; False where there is no stream any more.

        Fenced if another leader has added something. Adding again what was added has no effect.
        """

    async def fill(self, fence: int, records: Sequence[Record], configured: frozenset[SourceName]) -> None:
        """Add these snapshots, oldest first, those that are held already left out. Fenced as above."""

    async def take_over(self, fence: int, node: str) -> None:
        """Add the takeover entry: from now on entries of an older fence are refused. Fenced as above."""

    async def top(self) -> Place | None:
        """The place of the newest entry; None while there is none."""

    async def newest(self, count: int) -> list[Entry]:
        """The newest entries, oldest first."""

    async def after(self, place: Place) -> list[Entry]:
        """Wait a second at most for entries after a place; none if none came."""


class Lease(Protocol):
    """The right to lead, for so long as it is renewed."""

    async def acquire(self) -> bool:
        """Take the lease if nobody has it; whether it was taken."""

    async def renew(self) -> bool:
        """Extend the lease; False if it is not this node's any more."""

    async def release(self) -> None:
        """Give it up; no error if it was lost meanwhile."""

    async def remaining(self) -> float:
        """Seconds until the lease that is held now, by whichever node, ends; 0 if nobody has it."""

    async def next_fence(self, above: int = 0) -> int:
        """A fence that no leader had before, greater than `above` and than every fence in the stream."""


class Nodes(Protocol):
    """Which nodes there are."""

    async def register(self, node: NodeInfo) -> None:
        """Be listed, for a few seconds."""

    async def listed(self) -> list[NodeInfo]:
        """The nodes that are there, by id."""

    async def leave(self, node: str) -> None:
        """Be listed no more."""
