"""How long clients of another node wait for the next update when the leader is killed, and what the bus adds to a tick.

    python -m bench.failover

Two nodes with ROLE=all on one Redis and one PostgreSQL on this machine; a client on the node that follows. The leader
is killed (SIGKILL) 30 times at random moments of its interval, and started again. The target is a lease, an interval
and a second. `relay` is the server's own stage: what a tick waits for the stream.
"""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp

from pnl_backend.simulator import Simulator
from tests.cluster.installation import Cluster, cluster
from tests.redis_server import RedisServer
from tests.support.postgres import private_postgres
from tests.support.server import ServerProcess

RESULTS = Path(__file__).parent / "results"
KILLS = 30
LEASE_MS, INTERVAL_MS = 3000, 1000
TARGET = (LEASE_MS + INTERVAL_MS) / 1000 + 1
TABLE = """# Fail-over

{kills} kills of the leader, `LEASE_MS={lease}`, `UPDATE_INTERVAL_MS={interval}`, Redis and PostgreSQL on the same
machine: seconds until a client of the other node has the next update. No client missed one.

| median | worst | target |
|---:|---:|---:|
| {median:.2f} | {worst:.2f} | {target:.2f} |

Half of the ticks of a leader took no longer than this (ms, upper bounds of the histogram's buckets); `relay` is what
the stream adds:

| stage | ms |
|---|---:|
{rows}
"""
STAGE = re.compile(r'pnl_tick_stage_seconds_bucket\{le="([^"]+)",stage="(\w+)"\} (\S+)')


async def one_kill(installation: Cluster) -> float:
    """Seconds from the end of the leader to the next update at a client of the other node."""
    leader = await installation.leader()
    (other,) = installation.others(leader)
    async with installation.watching(other) as watcher:
        await watcher.sees_more(1)
        await asyncio.sleep(random.random() * INTERVAL_MS / 1000)
        last = watcher.last
        began = time.monotonic()
        await leader.kill()
        while watcher.last == last:  # noqa: ASYNC110 - updates come from another process and set no event
            await asyncio.sleep(0.005)
        waited = time.monotonic() - began
        await leader.start()
        await watcher.sees_more(1)
        watcher.check()
    return waited


async def medians(node: ServerProcess) -> dict[str, str]:
    """Each stage of a tick: the bound of its histogram below which half of the ticks were, in ms."""
    async with aiohttp.ClientSession() as session, session.get(f"{node.url}/metrics") as answer:
        text = await answer.text()
    found: dict[str, str] = {}
    buckets: dict[str, list[tuple[str, float]]] = {}
    for bound, stage, count in STAGE.findall(text):
        buckets.setdefault(stage, []).append((bound, float(count)))
    for stage, counts in buckets.items():
        half = counts[-1][1] / 2
        found[stage] = next(bound for bound, count in counts if count >= half)
    return {stage: f"{float(bound) * 1000:g}" for stage, bound in found.items()}


async def measure() -> str:
    with private_postgres() as postgres, tempfile.TemporaryDirectory(prefix="pnl-failover-") as folder:
        redis = RedisServer(Path(folder))
        await redis.start()
        try:
            async with (
                Simulator(step_interval=0.5, kalshi_rate=None) as simulator,
                cluster(Path(folder), redis, postgres, simulator) as installation,
            ):
                timings = {"LEASE_MS": str(LEASE_MS), "UPDATE_INTERVAL_MS": str(INTERVAL_MS)}
                for _ in range(2):
                    await installation.node(**timings)
                waited = [await one_kill(installation) for _ in range(KILLS)]
                stages = await medians(await installation.leader())
        finally:
            await redis.stop()
    rows = "\n".join(f"| {stage} | {stages[stage]} |" for stage in ("compute", "commit", "relay", "publish"))
    return TABLE.format(
        kills=KILLS,
        lease=LEASE_MS,
        interval=INTERVAL_MS,
        median=statistics.median(waited),
        worst=max(waited),
        target=TARGET,
        rows=rows,
    )


def main() -> None:
    table = asyncio.run(measure())
    print(table)
    (RESULTS / "failover.md").write_text(table)


if __name__ == "__main__":
    main()
