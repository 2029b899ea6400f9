"""Nodes of one cluster as processes, what they share, and clients that check every update."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pnl_backend.simulator import Simulator
from tests.redis_server import RedisServer
from tests.support.clients import Listener, listening
from tests.support.postgres import USER, PostgresServer
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import PATIENCE, until

LEASE_MS = 600


class Watcher:
    """A client of one node: the updates that it got, each of which must be the one after that before it."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    @property
    def seen(self) -> list[tuple[str, int]]:
        """Epoch and number of each update; what a node shows before there is one has number 0 and is left out."""
        shown = [each["data"] for each in self._listener.of("pnl_update")]
        return [(each["epoch"], each["seq"]) for each in shown if each["seq"]]

    @property
    def last(self) -> int:
        return self.seen[-1][1] if self.seen else 0

    @property
    def errors(self) -> list[Any]:
        """What said that updates have stopped."""
        return self._listener.of("stream_error")

    def check(self) -> None:
        """No gap, no repeat, no step back, and one epoch."""
        epochs, numbers = {epoch for epoch, _ in self.seen}, [seq for _, seq in self.seen]
        assert len(epochs) <= 1, epochs
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers

    async def sees_more(self, updates: int = 3) -> None:
        """Return when so many further updates have come."""
        goal = self.last + updates
        await until(lambda: self.last >= goal)


class Cluster:
    """`node(role)` starts one more node."""

    def __init__(
        self, stack: AsyncExitStack, folder: Path, redis: RedisServer, postgres: PostgresServer, simulator: Simulator
    ) -> None:
        self._stack = stack
        self._folder = folder
        self.redis = redis
        self.postgres = postgres
        self.database = postgres.database()
        stack.callback(postgres.drop, self.database)
        self._upstreams = upstream_env(simulator, simulator.credentials())
        self.nodes: list[ServerProcess] = []

    async def node(self, role: str = "all", **more: str) -> ServerProcess:
        folder = self._folder / f"node{len(self.nodes)}"
        folder.mkdir()
        env = FAST | {
            "ROLE": role,
            "BUS_URL": self.redis.url,
            "DATABASE_URL": self.database,
            "LEASE_MS": str(LEASE_MS),
        }
        if role != "push":
            env |= self._upstreams
        node = ServerProcess(folder, **(env | more))
        self._stack.push_async_callback(node.close)
        await node.start()
        self.nodes.append(node)
        return node

    async def leader(self) -> ServerProcess:
        """The node that leads, as soon as one does."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for node in self.nodes:
                    if node.running and (await node.get("/health"))["cluster"]["state"] == "leading":
                        return node
                await asyncio.sleep(0.02)

    def others(self, node: ServerProcess) -> list[ServerProcess]:
        return [each for each in self.nodes if each is not node and each.running]

    @asynccontextmanager
    async def watching(self, node: ServerProcess, **auth: Any) -> AsyncIterator[Watcher]:
        """A client that subscribed on this node and has had its first updates."""
        async with listening(node.url, transports=["websocket"], auth=auth or None) as listener:
            await listener.io.emit("subscribe_pnl")
            watcher = Watcher(listener)
            await watcher.sees_more(2)
            yield watcher

    def copy_of_the_ledger(self) -> str:
        """The name of a copy of the database, which nobody may use meanwhile."""
        name = self._name()
        with self.postgres.admin() as admin:
            admin.execute(f"CREATE DATABASE {name}_copy OWNER {USER} TEMPLATE {name}")
        return f"{name}_copy"

    def restore_ledger(self, copy: str) -> None:
        """Replace the database by a copy."""
        self.postgres.drop(self.database)
        with self.postgres.admin() as admin:
            admin.execute(f"ALTER DATABASE {copy} RENAME TO {self._name()}")

    def _name(self) -> str:
        return self.database.rpartition("/")[2]

    def stored(self) -> list[int]:
        """The numbers in the ledger."""
        with self.postgres.admin(self._name()) as admin:
            return [int(str(seq)) for (seq,) in admin.execute("SELECT seq FROM snapshots ORDER BY seq").fetchall()]


@asynccontextmanager
async def cluster(
    folder: Path, redis: RedisServer, postgres: PostgresServer, simulator: Simulator
) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        yield Cluster(stack, folder, redis, postgres, simulator)
