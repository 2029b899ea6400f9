"""One node of a cluster: it serves what the leader publishes, and leads while it holds the lease."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from zoneinfo import ZoneInfo

from loguru import logger

from pnl_backend import __version__, engine
from pnl_backend.assembly import takeover
from pnl_backend.assembly.adapters import restatements_part, store_part
from pnl_backend.assembly.business_day import FollowedDay
from pnl_backend.assembly.cluster_breakers import ClusterBreakers
from pnl_backend.assembly.cluster_view import bus_part, cluster_view, leadership_part, missing
from pnl_backend.assembly.feeds import Feeds
from pnl_backend.assembly.guards import configured_sources
from pnl_backend.assembly.hub_feed import HubFeed
from pnl_backend.assembly.leading import Leading, open_leading
from pnl_backend.assembly.membership import Membership, new_node_id
from pnl_backend.assembly.nothing_yet import nothing_yet
from pnl_backend.assembly.serving import Serving, open_serving, stale_after
from pnl_backend.assembly.shared_ledger import SharedLedger
from pnl_backend.assembly.shared_names import SharedNames
from pnl_backend.bus.leadership import Leadership, Term
from pnl_backend.bus.protocol import NodeInfo
from pnl_backend.bus.reader import StreamReader
from pnl_backend.bus.redis import RedisBus
from pnl_backend.bus.writer import StreamWriter
from pnl_backend.domain.classic import CLASSIC
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.errors import StoreError
from pnl_backend.ledger.postgres import Reader
from pnl_backend.ops.health import HealthMonitor, Part
from pnl_backend.ops.logging import logs_part
from pnl_backend.ops.metrics import Metrics
from pnl_backend.ops.metrics_cluster import NodeFigures
from pnl_backend.settings.model import Settings
from pnl_backend.stream.hub import Publication
from pnl_backend.stream.limits import RING
from pnl_backend.wire import operations
from pnl_backend.wire.message import UNSET, UnsetType


class ClusterNode:
    """Its hub is fed from the stream and, while it leads, from its own loop too."""

    def __init__(
        self, serving: Serving, ledger: Reader, shared: SharedLedger, bus: RedisBus, *, names: SharedNames | None
    ) -> None:
        """`names` are replaced by the sources that the leader has configured, on a node that has none of its own."""
        settings = serving.settings
        lease = settings.lease_ms / 1000
        self.id = new_node_id()
        self.serving = serving
        self.cache = serving.cache
        per_minute = settings.rate_limit_per_minute
        self.shared_limit = bus.shared_limit(per_minute).take if per_minute else None
        self._ledger = ledger
        self._shared = shared
        self._bus = bus
        self._names = names
        self._began = int(time.time() * 1000)
        self._leading: Leading | None = None
        self._writer: StreamWriter | None = None
        self._server: engine.Server | None = None
        self._health: HealthMonitor | None = None
        self._feeds: Feeds | None = None
        self._sealed = False
        self._stalled = self._unstored = False
        self._changes: Counter[str] = Counter(won=0, lost=0, released=0)
        self._feed = HubFeed(serving.hub, ledger, lambda: bus.stream.newest(RING), on_configured=self._on_configured)
        self._day = FollowedDay(ledger, ZoneInfo(settings.business_timezone), serving.configured)
        for sink in (self._day, self):
            serving.hub.attach(sink)
        self._reader = StreamReader(bus.stream, self._feed.take, count=RING)
        self._leadership = Leadership(
            bus.lease,
            self._lead,
            lease_seconds=lease,
            on_change=lambda change: self._changes.update([change]),
            on_taken_anew=self._recheck_stream,
        )
        self._membership = Membership(
            bus.nodes,
            bus.stream.top,
            ledger,
            every=lease / 3,
            describe=self._describe,
            on_top=self._reader.note_top,
            on_beat=self._on_beat,
        )
        self.breakers = ClusterBreakers(settings, bus.commands, lambda: self._leading, lambda: self._membership.leader)

    async def secret(self) -> bytes:
        """The ledger's secret; one that is replaced later while the ledger has none or cannot be read."""
        secret = await self._read_secret()
        self._sealed = secret is not None
        return secret or secrets.token_bytes(32)

    def previous_day(self) -> Snapshot | None:
        return self._day.previous

    def baseline(self) -> Snapshot | None:
        return self._day.base

    def parts(self) -> Mapping[str, Callable[[], Part]]:
        leading = self._leading
        own = {"restatements": lambda: restatements_part(self._ledger.restatements)}
        bus, leadership = self._bus.link, self._leadership
        cluster = {
            "bus": lambda: bus_part(connected=bus.up, problem=bus.problem),
            "leadership": lambda: leadership_part(self._describe().state, leadership.problem),
        }
        return {**(own if leading is None else leading.parts()), **cluster}

    def store_part(self) -> Part:
        return store_part(self._ledger.health()) if self._leading is None else self._leading.store_part()

    def loop_running(self) -> bool:
        return self._leading is None or self._leading.aggregator.running

    def lost_snapshots(self) -> int:
        return 0

    def breaker_states(self) -> Mapping[str, str]:
        return {} if self._leading is None else self._leading.breakers.states()

    def reconciliation(self) -> operations.Reconciliation | UnsetType:
        return UNSET if self._leading is None else self._leading.books.reconciler.report()

    def figures(self) -> NodeFigures:
        writer = self._writer
        return NodeFigures(
            role=self.serving.settings.role,
            leads=self._leading is not None,
            ledger_up=self.store_part().ok,
            bus_up=self._bus.link.up,
            fence=(self._feed.fence if writer is None else writer.fence) or None,
            lag=self._lag(),
            behind=None if writer is None else writer.behind,
            changes=dict(self._changes),
        )

    def cluster(self) -> operations.Cluster:
        return cluster_view(
            self._describe(),
            self._membership.listed,
            fence=self._feed.fence,
            connected=self._bus.link.up,
            lag=self._lag(),
        )

    def waiting_for(self) -> Sequence[str]:
        updated = self._feed.updated
        fresh = updated is not None and time.monotonic() - updated < stale_after(self.serving.settings)
        return missing(self._membership, connected=self._bus.link.up, fresh=fresh)

    async def prepare(self, feeds: Feeds, health: HealthMonitor) -> None:
        """Show what the stream has, else the ledger's last snapshot, else that there is nothing yet."""
        self._feeds, self._health = feeds, health
        await self._membership.beat()
        await self._reader.begin()
        await self._day.restore()
        try:
            latest = await self._ledger.latest()
        except StoreError:
            latest = None
        if latest is not None:
            self._feed.restore(latest)
        self._feed.show(nothing_yet(self.serving.settings))

    async def start(self, stack: AsyncExitStack, server: engine.Server) -> None:
        self._server = server
        await stack.enter_async_context(self._reader.following())
        await stack.enter_async_context(self._membership.kept())
        if self.serving.settings.role != "push":
            await stack.enter_async_context(self._leadership.running())

    async def publish(self, publication: Publication) -> None:
        """A sink of the hub: an update reached this node's clients."""
        self._stalled = False
        if publication.snapshot.stored is self._unstored:  # the first one that is not, or is again
            self._unstored = not publication.snapshot.stored
            self.serving.recent.unstored(int(self._unstored))
        self.serving.metrics.updated(publication.snapshot)
        if self._health is not None:
            self._health.heartbeat()

    async def stream_error(self) -> None:
        """Nothing to do: health shows it."""

    @asynccontextmanager
    async def _lead(self, term: Term) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            fence = await self._bus.lease.next_fence(above=await self._shared.fence())
            store = await self._shared.writer(fence)
            stack.push_async_callback(store.close)
            await self._bus.stream.take_over(fence, self.id)
            self._seal(await store.secret())  # which a new ledger has from now on
            writer = StreamWriter(
                self._bus.stream,
                fence=fence,
                configured=frozenset(configured_sources(self.serving.settings)),
                held=lambda: takeover.held(store, self._feed),
                keep=RING,
                keep_unstored=takeover.KEPT_UNSTORED,
            )
            await takeover.agree(store, self._bus.stream, self._feed, writer)

            async def relay(record: Record, stored: bool) -> None:
                await writer.add(record, stored=stored)

            leading = await open_leading(stack, self.serving, store, self._feed, relay=relay, on_fenced=term.end)
            await leading.aggregator.restore()
            leading.watch.health = self._health
            logger.info("leadership: this node leads with fence {}, from {}-{} on", fence, store.epoch, store.last_seq)
            self._change(leading, writer)
            stack.callback(self._change, None, None)
            await leading.start(stack)
            yield

    def _change(self, leading: Leading | None, writer: StreamWriter | None) -> None:
        self._leading, self._writer = leading, writer
        if self._health is not None:
            self._health.replace_parts({**self.parts(), "logs": logs_part})

    def _recheck_stream(self) -> None:
        if self._writer is not None:
            self._writer.recheck()

    def _describe(self) -> NodeInfo:
        settings = self.serving.settings
        return NodeInfo(
            self.id,
            settings.role,
            self._leadership.state if self._bus.link.up or self._leading is not None else "no bus",
            seq=self._feed.seq,
            clients=0 if self._server is None else self._server.stats().clients,
            since=self._began,
            version=__version__,
            lag_ms=self._reader.lag_ms,
            leads=self._leading is not None,
            breakers=None if self._leading is None else self._leading.breakers.status(),
        )

    async def _on_beat(self) -> None:
        await self.breakers.serve(self.id)
        if not self._sealed and (secret := await self._read_secret()):
            self._seal(secret)
        if not self._stalled and self._leading is None and "updates" in self.waiting_for():
            self._stalled = True
            await self._feed.stream_error()

    async def _read_secret(self) -> bytes | None:
        try:
            return await self._ledger.secret()
        except StoreError:
            return None

    def _seal(self, secret: bytes) -> None:
        """Seal the sessions of clients with the ledger's secret, which every node has."""
        if not self._sealed and self._feeds is not None:
            self._feeds.sockets.replace_secret(secret)
            self._sealed = True

    def _on_configured(self, configured: frozenset[str]) -> None:
        if self._names is not None:
            self._names.replace(configured)

    def _lag(self) -> int:
        return max(0, self._reader.top.seq - self._feed.seq)


async def open_cluster(stack: AsyncExitStack, settings: Settings) -> ClusterNode:
    """Open what serves; `stack` closes it. Redis and PostgreSQL may be away."""
    if settings.bus_url is None:
        raise ValueError("a cluster has a BUS_URL")
    metrics = Metrics(version=__version__)
    shared = SharedLedger(settings)
    ledger = await shared.reader()
    stack.push_async_callback(ledger.close)
    bus = await stack.enter_async_context(
        RedisBus.opened(
            settings.bus_url, lease=settings.lease_ms / 1000, namespace="demo" if settings.demo_mode else "live"
        )
    )
    names = SharedNames(CLASSIC) if settings.role == "push" else None
    configured = configured_sources(settings) if names is None else names
    serving = await open_serving(stack, settings, metrics, ledger, configured)
    return ClusterNode(serving, ledger, shared, bus, names=names)
