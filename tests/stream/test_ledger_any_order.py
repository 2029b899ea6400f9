"""Whatever happens to a reader of the ledger feed, it ends with the newest, and every gap is marked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pnl_backend import engine
from pnl_backend.domain.readings import Deal, Reading, Revenue
from pnl_backend.domain.record import Record
from pnl_backend.engine.net.connection import Connection
from pnl_backend.errors import StoreError
from pnl_backend.stream.hub import Hub
from pnl_backend.stream.ledger import LedgerFeed, parse_event_id
from pnl_backend.stream.limits import KEY_FRAME
from pnl_backend.wire.ledger_feed import usd
from pnl_backend.wire.views import to_record
from tests.support.snapshots import computed, taken

READERS = 3
SUMS = ("netPnL", "kalshiPnL", "totalCosts", "totalRevenue")
CHANGES = ("netPnLDelta", "kalshiDelta", "costsDelta", "revenueDelta")
CHANGED = ("publish", 1, 5.0, 0)
HEAD = b"GET /api/pnl/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"

readers = st.integers(0, READERS - 1)
deeds = st.one_of(
    # A change in cents, seconds since the last tick, numbers that the ledger passed over.
    st.tuples(
        st.just("publish"),
        st.sampled_from([0, 0, 1, -1, 250]),
        st.sampled_from([5.0, 5.0, 5.0, KEY_FRAME]),
        st.sampled_from([0, 0, 0, 2]),
    ),
    st.tuples(st.sampled_from(["join", "resume", "resume", "drop", "stall", "read"]), readers),
    # How far back the store holds, whether it can be read, how many turns of the loop a reading takes.
    st.tuples(st.just("store"), st.integers(1, 6), st.booleans(), st.integers(0, 3)),
    st.tuples(st.sampled_from(["restart", "turn"])),
)


class Pipe(Connection):
    """A connection in memory: what was written to it, and whether it takes more."""

    __slots__ = ("full", "written")

    def __init__(self, shared, owner):
        super().__init__(shared, owner)
        self.written = bytearray()
        self.full = False

    @staticmethod
    def encode(message):
        return message.event

    def write(self, data):
        self.written += data

    def blocked(self):
        return self.full

    def close_socket(self, *, flush):
        self.full = True


@dataclass
class Disk:
    """The records of the ledger, of which the newest `depth` are held."""

    records: list[Record] = field(default_factory=list)
    depth: int = 6
    broken: bool = False
    turns: int = 0

    async def since(self, epoch, seq, *, limit):
        await self.read()
        due = [record for record in self.records[-self.depth :] if record.seq > seq][:limit]
        return due if [record.seq for record in due] == list(range(seq + 1, seq + 1 + len(due))) else None

    async def holds(self, epoch, seq, last):
        await self.read()
        held = {record.seq for record in self.records[-self.depth :]}
        return held.issuperset(range(seq + 1, last + 1))

    async def read(self):
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.broken:
            raise StoreError("the disk is gone")


class Reader:
    """One client: it assembles what it is sent, and fails at the first message that does not fit."""

    def __init__(self, world):
        self.world = world
        self.connection = None
        self.event_id = ""
        self.seq = 0
        self.figures = None
        self.known = False

    def connect(self, *, remember):
        """With its last place, or without; a server that knows it goes on, else it says so by a snapshot."""
        self.drop()
        if not remember:
            self.event_id = ""
        server = self.world.server
        environ = engine.Environ(HEAD, "127.0.0.1")
        server.eio.admission.enter(environ.peer)
        self.connection = engine.FeedConnection(server.feeds, environ, self, "sse")
        self.connection.attached(Pipe(server.eio.shared, self.connection), b"")

    def opened(self, connection):
        since = parse_event_id(self.event_id)
        self.known = since is not None
        if since is None:
            self.world.feed.join(connection)
        else:
            self.world.server.eio.spawn(self.world.feed.resume(connection, since))

    def received(self, connection, data):
        raise AssertionError("it says nothing")

    def closed(self, connection, reason):
        self.world.feed.leave(connection)

    def drop(self):
        """What is on its way is lost."""
        if self.connection is not None and self.connection.open:
            self.connection.connection.abort()
            self.connection.lost(engine.closes.TRANSPORT_CLOSE)
        self.connection = None

    def stall(self):
        if self.connection is not None:
            self.connection.connection.full = True

    def read(self):
        """Everything that was written, and what waited behind it."""
        if self.connection is None:
            return
        pipe = self.connection.connection
        pipe.full = False
        pipe.flush()
        written, pipe.written = bytes(pipe.written), bytearray()
        for block in written.decode().split("\n\n")[:-1]:
            named, _, data = block.partition("\ndata: ")
            self.take(named.removeprefix("id: "), orjson.loads(data))

    def take(self, event_id, message):
        data, published = message["data"], self.world.published
        if message["type"] == "snapshot":
            assert data["seq"] >= self.seq
            self.figures = *(round(data[name] * 100) for name in SUMS), data["components"]["recentDeals"]
        else:
            assert self.known, "a delta before anything that it could apply to"
            assert data["prevSeq"] == self.seq < data["seq"]
            between = range(self.seq + 1, data["seq"])
            assert all(published.get(seq) == self.figures for seq in between), "something was passed over in silence"
            changes = [round(data[name] * 100) for name in CHANGES]
            *sums, deals = self.figures
            deals = data["components"]["recentDeals"] if "components" in data else deals
            self.figures = *(old + change for old, change in zip(sums, changes, strict=True)), deals
        self.known = True
        self.seq, self.event_id = data["seq"], event_id
        assert event_id == f"k3v9-{self.seq}"
        assert self.figures == published[self.seq]

    def is_level(self):
        newest = max(self.world.published)
        return self.figures == self.world.published[newest]


class World:
    """A server's feed over a ledger, and its readers."""

    def __init__(self):
        self.disk = Disk()
        self.published: dict[int, tuple[int, ...]] = {}
        self.collected = 100_000
        self.seq = 0
        self.now = 0.0
        self.readers = [Reader(self) for _ in range(READERS)]
        self.start()

    def start(self):
        self.server = engine.create_server(engine.EngineConfig(max_queue_events=3))
        self.hub = Hub(self.disk, ring=3)
        self.feed = LedgerFeed(self.server, self.hub, monotonic=lambda: self.now)
        self.hub.attach(self.feed)

    async def publish(self, change=0, after=5.0, skipped=0):
        self.now += after
        self.collected += change
        self.seq += 1 + skipped
        at = 1_772_058_240_000 + int(self.now * 1000)
        readings = taken(
            Reading("kalshi", None, 0, 0, "fallback", "never answered"),
            Reading("anthropic", None, 0, 0, "fallback", "never answered"),
            Reading("johns", Revenue(Decimal(0), Decimal(usd(self.collected)), deals=self.deals()), at, at, "live"),
        )
        snapshot = computed(readings, epoch="k3v9", seq=self.seq, at=at)
        record = to_record(snapshot)
        self.published[self.seq] = *figures(record), len(self.deals())
        self.disk.records.append(record)
        await self.hub.publish(snapshot, record)

    def deals(self):
        """As many as change with a figure, and without one."""
        return (Deal("d", "Roof", Decimal(1), "recognized", 1_772_058_240_000),) * (
            self.seq // 3 % 2 + self.collected % 2
        )

    async def restart(self):
        for reader in self.readers:
            reader.read()
            reader.drop()
        await self.server.shutdown(0.1)
        self.start()
        self.hub.restore(self.disk.records[-1])

    async def do(self, deed, *given):
        if deed == "publish":
            await self.publish(*given)
        elif deed == "store":
            self.disk.depth, self.disk.broken, self.disk.turns = given
        elif deed == "restart":
            await self.restart()
        elif deed == "turn":
            await asyncio.sleep(0)
        elif deed in ("join", "resume"):
            self.readers[given[0]].connect(remember=deed == "resume")
        else:
            getattr(self.readers[given[0]], deed)()


def figures(record):
    return record.net_cents, record.kalshi_cents, record.costs_cents, record.revenue_cents


async def play(story):
    world = World()
    await world.publish()
    for deed in story:
        await world.do(*deed)
    for reader in world.readers:
        if reader.connection is None:
            reader.connect(remember=True)
    for _ in range(50):
        for reader in world.readers:
            reader.read()
        await asyncio.sleep(0)  # replays under way come to their end
    await world.publish(change=7)
    for reader in world.readers:
        reader.read()
        assert reader.is_level(), (reader.figures, world.published)
        reader.drop()
    assert world.server.stats().slow_disconnects == 0, "what waits for a reader that lags stays small"
    assert not world.feed._followers, "nobody is left in the books"
    await world.server.shutdown(0.1)


@settings(max_examples=1000, deadline=None)
@given(st.lists(deeds, max_size=25))
@example([("join", 0), ("read", 0), ("store", 6, False, 3), ("restart",), ("resume", 0), ("turn",), CHANGED])
@example([("join", 0), ("read", 0), ("stall", 0), *[CHANGED] * 6, ("resume", 0), ("publish", 0, 5.0, 2)])
@example([("join", 0), ("read", 0), *[CHANGED] * 4, ("store", 6, False, 3), ("resume", 0), ("turn",), ("drop", 0)])
def test_a_reader_ends_with_the_newest_and_gaps_are_announced(story):
    asyncio.run(play(story))
