"""Two nodes that poll, two that push and 200 clients of every kind, while any of them fails at random.

No client sees a gap, a repeat or a step back, one leader writes at a time, and what anybody saw is in the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from loguru import logger

from pnl_backend.simulator import Simulator
from tests.cluster.installation import Cluster, cluster
from tests.cluster.stalling import StallingProxy, stalling_proxy
from tests.redis_server import RedisServer
from tests.support.postgres import PostgresServer
from tests.support.returning import KINDS, Reader, stop
from tests.support.server import ServerProcess

CLIENTS = 200
SECONDS = float(os.environ.get("CLUSTER_SECONDS", "120"))
"""How long faults go on."""
SEED = int(os.environ.get("CLUSTER_SEED", "5"))
QUIET = (0.5, 3.0)
"""Seconds between two faults."""
SETTLED = 60.0
TIMES = {"UPDATE_INTERVAL_MS": "500"}
"""As far apart as two updates are in production, seen from a client that polls: one poll takes less."""
AUDIT = """
CREATE TABLE audit (id bigserial PRIMARY KEY, fence bigint NOT NULL, seq bigint NOT NULL);
CREATE FUNCTION audit_head() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS
$$ BEGIN INSERT INTO audit (fence, seq) VALUES (NEW.fence, NEW.seq); RETURN NEW; END $$;
CREATE TRIGGER audit_head AFTER UPDATE ON head FOR EACH ROW EXECUTE FUNCTION audit_head();
"""
"""Every write of a leader, in the order in which PostgreSQL committed it: the row of the head is locked until then."""


class Roaming(Reader):
    """A client that comes back to any of the nodes that push."""

    def __init__(self, nodes: list[ServerProcess], kind: str, chance: random.Random) -> None:
        super().__init__("", kind)
        self._nodes = nodes
        self._chance = chance
        self.seen: set[tuple[str, int]] = set()

    async def socketio(self) -> None:
        self._move()
        await super().socketio()

    async def websocket(self) -> None:
        self._move()
        await super().websocket()

    async def sse(self) -> None:
        self._move()
        await super().sse()

    async def dashboard(self) -> None:
        self._move()
        await super().dashboard()

    def whole(self, data: dict) -> None:
        if self.epoch and data["epoch"] != self.epoch:
            self.broken.append(f"epoch {self.epoch} then {data['epoch']}")
        super().whole(data)
        if data["seq"]:
            self.seen.add((data["epoch"], data["seq"]))

    def update(self, message: dict) -> None:
        """Here nobody may miss anything: every client reads in time, and all but one kind say where they were."""
        seq, source = message["data"]["seq"], message["source"]
        if self.held[0] and seq > self.held[0] + 1 and (source != "initial" or self.kind != "namespace"):
            self.broken.append(f"{self.held[0]} then {seq} as {source}")
        super().update(message)

    def delta(self, data: dict) -> None:
        super().delta(data)
        self.seen.add((self.epoch, data["seq"]))

    def _move(self) -> None:
        self.url = self._chance.choice([node.url for node in self._nodes])


@dataclass
class Faults:
    """What fails, one at a time; each ends before the next one begins."""

    cluster: Cluster
    proxies: list[StallingProxy]
    chance: random.Random

    async def kill(self) -> None:
        node = self.chance.choice(self.cluster.nodes)
        await node.kill()
        await asyncio.sleep(self.chance.uniform(0, 2))
        # The same port: clients and proxies find it where it was.
        node.env["PORT"] = str(node.port)
        await node.start()

    async def pause(self) -> None:
        node = self.chance.choice(self.cluster.nodes)
        node.signal(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(0.2, 3))
        node.signal(signal.SIGCONT)

    async def pause_redis(self) -> None:
        self.cluster.redis.freeze()
        await asyncio.sleep(self.chance.uniform(0.2, 3))
        self.cluster.redis.thaw()

    async def empty_redis(self) -> None:
        await self.cluster.redis.stop()
        await asyncio.sleep(self.chance.uniform(0, 2))
        await self.cluster.redis.start()

    async def stall(self) -> None:
        proxy = self.chance.choice(self.proxies)
        proxy.stall()
        await asyncio.sleep(self.chance.uniform(0.2, 3))
        proxy.resume()

    async def stop_postgres(self) -> None:
        how = self.chance.choice((signal.SIGINT, signal.SIGQUIT))
        await asyncio.to_thread(self.cluster.postgres.stop, how)
        await asyncio.sleep(self.chance.uniform(0, 2))
        await asyncio.to_thread(self.cluster.postgres.start)

    async def go_on(self, seconds: float) -> None:
        """One after the other, for so long; each kind comes up as often as the others."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.kill, self.pause, self.pause_redis, self.empty_redis, self.stall, self.stop_postgres,
        ]  # fmt: skip
        ends = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < ends:
            for fault in self.chance.sample(kinds, len(kinds)):
                logger.info("fault: {}", getattr(fault, "__name__", ""))
                await fault()
                await asyncio.sleep(self.chance.uniform(*QUIET))


async def settled(cluster: Cluster, readers: list[Reader]) -> None:
    """Wait until the figure rests and every client holds it."""
    behind = readers
    rows: list[dict] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLED):
            while behind:
                leader = await cluster.leader()
                rows = (await leader.get("/api/pnl/history?limit=20"))["data"]["data"]
                seq, net = rows[-1]["seq"], rows[-1]["netPnL"]
                if {row["netPnL"] for row in rows} == {net}:
                    behind = [reader for reader in readers if not reader.holds(seq, net)]
                await asyncio.sleep(0.2)
    late = [(reader.kind, reader.held, reader.sessions) for reader in behind]
    assert not late, (rows[-1:], late, [node.log[-2000:] for node in cluster.nodes])


async def moves(simulator: Simulator) -> None:
    """Something changes all the time."""
    while True:
        simulator.step()
        await asyncio.sleep(0.2)


@pytest.mark.slow(SECONDS + 30)
@pytest.mark.timeout(SECONDS + 240)
async def test_whatever_fails_no_client_misses_anything(
    tmp_path: Path, redis_server: RedisServer, postgres: PostgresServer
) -> None:
    chance = random.Random(SEED)
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(step_interval=None, kalshi_rate=None))
        installation = await stack.enter_async_context(cluster(tmp_path, redis_server, postgres, simulator))
        proxies = []
        for role in ("poll", "poll", "push", "push"):
            proxy = await stack.enter_async_context(stalling_proxy(installation.redis.port))
            proxies.append(proxy)
            await installation.node(role, BUS_URL=f"redis://127.0.0.1:{proxy.port}/0", **TIMES)
        await installation.leader()
        with installation.postgres.admin(installation.database.rpartition("/")[2]) as admin:
            admin.execute(AUDIT)
        pushing = installation.nodes[2:]
        readers = [Roaming(pushing, KINDS[number % len(KINDS)], chance) for number in range(CLIENTS)]
        tasks = [asyncio.create_task(reader.run()) for reader in readers]
        try:
            moving = asyncio.create_task(moves(simulator))
            tasks.append(moving)
            await Faults(installation, proxies, chance).go_on(SECONDS)
            moving.cancel()
            await settled(installation, [*readers])
        finally:
            await stop([*readers], tasks)
        stored = set(installation.stored())
        with installation.postgres.admin(installation.database.rpartition("/")[2]) as admin:
            written = admin.execute("SELECT fence, seq FROM audit ORDER BY id").fetchall()
    assert not [(reader.kind, reader.broken) for reader in readers if reader.broken]
    assert len({reader.epoch for reader in readers}) == 1
    unseen = {seq for reader in readers for _, seq in reader.seen} - stored
    assert not unseen, sorted(unseen)
    assert written == sorted(written), "one leader writes at a time, and none goes back"
    assert len({fence for fence, _ in written}) > 1, "leadership changed"
