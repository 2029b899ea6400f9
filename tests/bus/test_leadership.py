"""Leadership on a real Redis: one leader at a time, what ends a term, and what an outage does."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import redis.asyncio

from pnl_backend.bus.leadership import Leadership, Term
from pnl_backend.bus.protocol import NodeInfo
from pnl_backend.bus.redis import RedisBus
from pnl_backend.errors import StoreError
from pnl_backend.wire.operations import BreakerConfig, Breakers, BreakerState
from tests.bus.conftest import LEASE
from tests.bus.records import SOURCES, records
from tests.redis_server import RedisServer
from tests.waiting import until

BREAKERS = Breakers(
    "2026-02-25T12:00:00.000Z", {"kalshi": BreakerState("CLOSED", 0, None, 1, None)}, BreakerConfig(5, 60_000)
)


@dataclass
class Node:
    """A node that leads by taking over the stream; `broken` while it cannot."""

    name: str
    bus: RedisBus
    leads: bool = False
    broken: bool = False
    fence: int = 0
    terms: int = 0
    taken_anew: int = 0
    changes: list[str] = field(default_factory=list)
    term: Term | None = None

    @asynccontextmanager
    async def lead(self, term: Term) -> AsyncIterator[None]:
        if self.broken:
            raise StoreError("the ledger is away")
        self.fence = await self.bus.lease.next_fence()
        await self.bus.stream.take_over(self.fence, self.name)
        self.leads, self.term = True, term
        self.terms += 1
        try:
            yield
        finally:
            self.leads = False

    def on_taken_anew(self) -> None:
        self.taken_anew += 1


@asynccontextmanager
async def nodes(server: RedisServer, *names: str) -> AsyncIterator[list[tuple[Node, Leadership]]]:
    async with AsyncExitStack() as stack:
        found = []
        for name in names:
            node = Node(name, await stack.enter_async_context(RedisBus.opened(server.url, lease=LEASE)))
            leadership = Leadership(
                node.bus.lease,
                node.lead,
                lease_seconds=LEASE,
                on_change=node.changes.append,
                on_taken_anew=node.on_taken_anew,
            )
            await stack.enter_async_context(leadership.running())
            found.append((node, leadership))
        yield found


async def test_one_of_three_leads_and_another_when_it_stops(redis_server: RedisServer) -> None:
    async with nodes(redis_server, "a", "b", "c") as found:
        await until(lambda: any(node.leads for node, _ in found))
        ((first, leadership),) = [each for each in found if each[0].leads]
        await until(lambda: sorted(each.state for _, each in found) == ["following", "following", "leading"])
        first.broken = True
        assert first.term is not None
        first.term.end("the test says so")
        await until(lambda: any(node.leads for node, _ in found if node is not first))
        (second,) = [node for node, _ in found if node.leads]
        assert second.fence > first.fence
        assert first.changes == ["won", "lost"]
        assert leadership.state != "leading"


async def test_a_leader_that_shuts_down_gives_the_lease_up(redis_server: RedisServer) -> None:
    async with nodes(redis_server, "a") as [(first, _)]:
        await until(lambda: first.leads)
    assert first.changes == ["won", "released"]
    assert not first.leads
    other = redis.asyncio.from_url(redis_server.url)
    try:
        assert not await other.exists("pnl-bus:lease")
    finally:
        await other.aclose()


async def test_a_leader_whose_lease_another_has_steps_down(redis_server: RedisServer) -> None:
    async with nodes(redis_server, "a") as [(first, leadership)]:
        await until(lambda: first.leads)
        other = redis.asyncio.from_url(redis_server.url)
        await other.set("pnl-bus:lease", "another")
        await other.aclose()
        await until(lambda: not first.leads)
        await until(lambda: leadership.state == "following")


async def test_a_lease_that_was_lost_to_nobody_is_taken_again_in_the_same_term(redis_server: RedisServer) -> None:
    """So it is after a pause of the process, and after a restart of Redis."""
    async with nodes(redis_server, "a") as [(first, _)]:
        await until(lambda: first.leads)
        await redis_server.stop()
        await redis_server.start()
        await until(lambda: first.taken_anew == 1)
        assert first.leads
        assert first.terms == 1


async def test_a_leader_goes_on_while_redis_is_away(redis_server: RedisServer) -> None:
    async with nodes(redis_server, "a") as [(first, leadership)]:
        await until(lambda: first.leads)
        await redis_server.stop()
        await until(lambda: not first.bus.link.up)
        assert leadership.state == "leading"
        assert first.leads


async def test_a_node_that_does_not_lead_says_that_it_has_no_bus(redis_server: RedisServer) -> None:
    await redis_server.stop()
    async with nodes(redis_server, "a") as [(first, leadership)]:
        await until(lambda: leadership.state == "no bus")
        await redis_server.start()
        await until(lambda: first.leads)


async def test_a_node_that_cannot_lead_leaves_the_lease_to_another(redis_server: RedisServer) -> None:
    async with nodes(redis_server, "a") as [(first, leadership)]:
        first.broken = True
        await until(lambda: leadership.problem is not None)
        assert "away" in str(leadership.problem)
        async with nodes(redis_server, "b") as [(second, _)]:
            await until(lambda: second.leads)
        first.broken = False
        await until(lambda: first.leads)
        assert leadership.problem is None


async def test_fences_grow_past_what_the_ledger_and_the_stream_have(bus: RedisBus, redis_server: RedisServer) -> None:
    assert await bus.lease.acquire()
    first = await bus.lease.next_fence()
    assert await bus.lease.next_fence() == first + 1
    assert await bus.lease.next_fence(above=40) == 41
    await bus.stream.fill(90, records(1, 1), SOURCES)
    assert await bus.lease.next_fence(above=40) == 91


async def test_a_lease_ends_by_itself(bus: RedisBus, redis_server: RedisServer) -> None:
    async with RedisBus.opened(redis_server.url, lease=LEASE) as other:
        assert await bus.lease.acquire()
        assert not await other.lease.acquire()
        assert 0 < await bus.lease.remaining() <= LEASE
        assert await bus.lease.renew()
        assert not await other.lease.renew()


async def test_nodes_are_listed_until_they_say_nothing_any_more(bus: RedisBus, redis_server: RedisServer) -> None:
    first = NodeInfo("a", "all", "leading", seq=7, clients=3, leads=True, breakers=BREAKERS)
    second = NodeInfo("b", "push", "following", seq=6)
    await bus.nodes.register(second)
    await bus.nodes.register(first)
    assert await bus.nodes.listed() == [first, second]
    await bus.nodes.leave("a")
    assert await bus.nodes.listed() == [second]
    other = redis.asyncio.from_url(redis_server.url)
    try:
        assert 0 < await other.pttl("pnl-bus:node:b") <= 3 * LEASE * 1000
        await other.delete("pnl-bus:node:b")  # as it expires
    finally:
        await other.aclose()
    assert await bus.nodes.listed() == []


async def test_a_demo_shares_nothing_with_real_money(bus: RedisBus, redis_server: RedisServer) -> None:
    async with RedisBus.opened(redis_server.url, lease=LEASE, namespace="demo") as other:
        await bus.stream.fill(1, records(1, 2), SOURCES)
        assert await bus.lease.acquire()
        assert await other.stream.newest(10) == []
        assert await other.lease.acquire()
