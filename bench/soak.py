"""Mixed clients come and go at production's limits: afterwards the server holds what it held before.

    python -m bench soak            ten minutes
    python -m bench.soak [seconds]  any length

The server runs with its default limits and the demo, a tick a second. Forty clients of each kind connect over WebSocket
and long polling, read the ledger feed, read nothing at all, say nothing at all, or reset their connections; those that
read check every update. What is compared is the server's own count of descriptors, tasks, sessions and clients, and
its memory, before and after, with everybody gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvloop

from bench.soak_clients import CLIENTS, Soak
from bench.tick import served

RESULTS = Path(__file__).parent / "results"
SECONDS = 600.0
WARM_UP = 20.0
"""Seconds of the same load before the first count: caches fill, code is loaded, memory is taken from the system."""
EACH = 40
STAY = (1.0, 30.0)
GONE_WITHIN = 60.0
"""Seconds for which the counts may go on falling after the last client left: a ping interval and its timeout."""
COUNTS = {
    "descriptors": r"process_open_fds",
    "tasks": r"pnl_tasks",
    "sessions": r"pnl_sessions",
    "unfinished connections": r"pnl_unfinished_connections",
    "clients": r'pnl_clients{transport="\w+"}',
}


@dataclass(frozen=True)
class Held:
    """What the server holds: counts by name, and resident memory in bytes."""

    counts: dict[str, float]
    memory: float
    replaced: float
    """Messages that the server has replaced by newer ones since it started."""


@dataclass(frozen=True)
class Report:
    """One soak: what was held before and after, and what the clients met."""

    seconds: float
    before: Held
    after: Held
    soak: Soak


async def soak(url: str, seconds: float, *, each: int = EACH, warm_up: float = WARM_UP, seed: int = 7) -> Report:
    """Load the server at `url` for `seconds`, after a warm-up of the same kind."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    state = Soak(host, int(port), STAY, random.Random(seed))
    async with aiohttp.ClientSession() as session:
        async with clients(state, each):
            await asyncio.sleep(warm_up)
        before = await settled(session, url)
        async with clients(state, each):
            await asyncio.sleep(seconds)
        after = await settled(session, url, before)
    return Report(seconds, before, after, state)


@contextlib.asynccontextmanager
async def clients(state: Soak, each: int) -> AsyncIterator[None]:
    """So many clients of each kind; one that fails in a way it does not expect ends the soak."""
    tasks = [asyncio.create_task(run(state), name=kind) for kind, run in CLIENTS.items() for _ in range(each)]
    try:
        yield
        failed = [task for task in tasks if task.done()]
        if failed:
            failed[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def held(session: aiohttp.ClientSession, url: str) -> Held:
    async with session.get(f"{url}/metrics", headers={"Connection": "close"}) as answer:
        text = await answer.text()

    def total(pattern: str) -> float:
        return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE))

    counts = {name: total(pattern) for name, pattern in COUNTS.items()}
    return Held(counts, total("process_resident_memory_bytes"), total("pnl_messages_dropped_total"))


async def settled(session: aiohttp.ClientSession, url: str, goal: Held | None = None) -> Held:
    """What is held once it falls no more or `goal` is reached, at the latest after `GONE_WITHIN` seconds."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + GONE_WITHIN
    now = await held(session, url)
    lowest, since = now, loop.time()
    while loop.time() < ends:
        if now.counts["clients"] == 0:
            if goal is not None and all(now.counts[name] <= goal.counts[name] for name in COUNTS):
                return now
            if goal is None and loop.time() - since > 12.0:
                return lowest
        await asyncio.sleep(0.5)
        now = await held(session, url)
        if sum(now.counts.values()) < sum(lowest.counts.values()):
            lowest, since = now, loop.time()
    return now


def table(report: Report) -> str:
    rows = [f"| {name} | {report.before.counts[name]:.0f} | {report.after.counts[name]:.0f} |" for name in COUNTS]
    rows.append(f"| memory, MB | {report.before.memory / 2**20:.1f} | {report.after.memory / 2**20:.1f} |")
    met = report.soak
    visits = ", ".join(f"{count:,} {kind}" for kind, count in sorted(met.visits.items()))
    return (
        "| the server holds | before | after |\n|---|---|---|\n" + "\n".join(rows) + f"\n\n{report.seconds:.0f} s, "
        f"{sum(met.visits.values()):,} visits ({visits}); {sum(met.updates.values()):,} updates read, "
        f"{len(met.faults)} missed or out of order; {met.replaced} came as a newer one, and the server replaced "
        f"{report.after.replaced:.0f} messages.\n"
    )


async def measure(seconds: float) -> str:
    async with served(DEMO="true", UPDATE_INTERVAL_MS="1000") as server:
        report = await soak(server.url, seconds)
    return table(report) + "".join(f"\n- {fault}" for fault in report.soak.faults[:20])


def main() -> str:
    """Measure; the table as Markdown, also written to bench/results/soak.md."""
    os.sched_setaffinity(0, {1} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    seconds = float(sys.argv[1]) if len(sys.argv) == 2 and sys.argv[1].isdigit() else SECONDS
    found = uvloop.run(measure(seconds))
    RESULTS.mkdir(exist_ok=True)
    note = f"Default limits, a tick a second, {EACH} clients of each kind on one core, the server on the other."
    (RESULTS / "soak.md").write_text(f"# The soak\n\n{note}\n\n{found}")
    print(found)
    return found


if __name__ == "__main__":
    main()
