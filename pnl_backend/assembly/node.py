"""What the composition root uses of a node, be it alone or one of a cluster; and the node that is alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from pnl_backend import __version__, engine
from pnl_backend.assembly.feeds import Feeds
from pnl_backend.assembly.guards import configured_sources
from pnl_backend.assembly.leading import Leading, open_leading
from pnl_backend.assembly.ledger_start import location_of, opened_ledger
from pnl_backend.assembly.serving import Serving, open_serving
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.http import ports
from pnl_backend.http.options import SharedLimit
from pnl_backend.ops.health import HealthMonitor, Part
from pnl_backend.ops.metrics import Metrics
from pnl_backend.ops.metrics_cluster import NodeFigures
from pnl_backend.settings.model import Settings
from pnl_backend.wire import operations
from pnl_backend.wire.message import UNSET, UnsetType


class Node(Protocol):
    """A node between its opening and its end."""

    @property
    def serving(self) -> Serving: ...

    @property
    def breakers(self) -> ports.Breakers: ...

    @property
    def cache(self) -> ports.Cache: ...

    async def secret(self) -> bytes:
        """What seals the sessions that clients can recover."""
        ...

    @property
    def shared_limit(self) -> SharedLimit | None:
        """Counts REST requests together with other nodes; None for a node that is alone."""
        ...

    def previous_day(self) -> Snapshot | None:
        """The last complete snapshot before the business day."""
        ...

    def baseline(self) -> Snapshot | None:
        """What the business day is measured against."""
        ...

    def parts(self) -> Mapping[str, Callable[[], Part]]:
        """The parts of the health report, but for store and loop."""
        ...

    def store_part(self) -> Part: ...

    def loop_running(self) -> bool: ...

    def lost_snapshots(self) -> int:
        """Stored snapshots that were lost with a file that was replaced."""
        ...

    def breaker_states(self) -> Mapping[str, str]:
        """CLOSED, HALF_OPEN or OPEN by service, of the breakers in this process."""
        ...

    def reconciliation(self) -> operations.Reconciliation | UnsetType: ...

    def figures(self) -> NodeFigures: ...

    def cluster(self) -> operations.Cluster | UnsetType:
        """What the health report says of the cluster; UNSET for a node that is alone."""
        ...

    def waiting_for(self) -> Sequence[str]:
        """What keeps this node from being ready; nothing where it is."""
        ...

    async def prepare(self, feeds: Feeds, health: HealthMonitor) -> None:
        """Have something to show, before any listener starts."""
        ...

    async def start(self, stack: AsyncExitStack, server: engine.Server) -> None:
        """Work until `stack` ends it."""
        ...


class SingleNode:
    """A server that is alone: it leads from its start to its end, and reads the ledger that it writes."""

    shared_limit = None

    def __init__(self, serving: Serving, leading: Leading, integrity: Callable[[], Part]) -> None:
        self.serving = serving
        self.cache = serving.cache
        self.breakers = leading.breakers
        self._leading = leading
        self._integrity = integrity

    async def secret(self) -> bytes:
        return await self._leading.store.secret()

    def previous_day(self) -> Snapshot | None:
        return self._leading.aggregator.previous_day

    def baseline(self) -> Snapshot | None:
        return self._leading.aggregator.baseline

    def parts(self) -> Mapping[str, Callable[[], Part]]:
        return {**self._leading.parts(), "integrity": self._integrity}

    def store_part(self) -> Part:
        return self._leading.store_part()

    def loop_running(self) -> bool:
        return self._leading.aggregator.running

    def lost_snapshots(self) -> int:
        return self._leading.store.health()["lost"]

    def breaker_states(self) -> Mapping[str, str]:
        return self._leading.breakers.states()

    def reconciliation(self) -> operations.Reconciliation:
        return self._leading.books.reconciler.report()

    def figures(self) -> NodeFigures:
        return NodeFigures(self.serving.settings.role, leads=True, ledger_up=self.store_part().ok)

    def cluster(self) -> UnsetType:
        return UNSET

    def waiting_for(self) -> Sequence[str]:
        return ()

    async def prepare(self, feeds: Feeds, health: HealthMonitor) -> None:  # noqa: ARG002 - they have the secret
        self._leading.watch.health = health
        if not await self._leading.aggregator.restore():
            await self._leading.aggregator.tick()

    async def start(self, stack: AsyncExitStack, server: engine.Server) -> None:  # noqa: ARG002 - nobody asks for it
        await self._leading.start(stack)


async def open_single(stack: AsyncExitStack, settings: Settings) -> SingleNode:
    """Open every part; `stack` closes them in reverse order."""
    metrics = Metrics(version=__version__)
    store, integrity = await stack.enter_async_context(
        opened_ledger(
            location_of(settings),
            backup_dir=settings.backup_dir,
            origin="demo" if settings.demo_mode else "live",
            synchronous=settings.db_synchronous,
            timezone=settings.business_timezone,
        )
    )
    serving = await open_serving(stack, settings, metrics, store, configured_sources(settings))
    leading = await open_leading(stack, serving, store, serving.hub)
    return SingleNode(serving, leading, integrity)
