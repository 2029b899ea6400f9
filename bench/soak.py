"""Mixed clients connect and disconnect at production's limits: afterwards the server uses as many resources as before.

    python -m bench soak            ten minutes
    python -m bench.soak [seconds]  any length

The server runs with its default limits and the demo, five ticks a second. Forty clients of each kind connect over
WebSocket and long polling, read the ledger feed, read nothing at all, say nothing at all, or reset their connections;
those that read check every update. What is compared is the server's own count of descriptors, tasks, sessions and
clients, and its memory, before and after, with no client connected. Before the first count the same clients stay until
the hub's ring of publications is full, since it grows until then. A second server, without any client, runs beside it:
what that one grows by in the same time is the demo's and the ledger's own.
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
from pnl_backend.stream.limits import RING

RESULTS = Path(__file__).parent / "results"
SECONDS = 600.0
INTERVAL_MS = 200
"""Quick ticks, so that the ring is full after some minutes."""
WARM_UP = 20.0
"""Seconds of the same load before the first count: caches fill, code is loaded, memory is taken from the system."""
EACH = 40
STAY = (1.0, 30.0)
WATCHED = 75.0
"""Seconds after the last client in which the lowest count is taken.

The simulated upstreams are in the server's process, and each connection to them is two descriptors and a task of it.
Anthropic is asked every 60 s and idle connections are closed after 15 s, so their number follows a cycle of a minute.
"""
COUNTS = {
    "descriptors": r"process_open_fds",
    "tasks": r"pnl_tasks",
    "sessions": r"pnl_sessions",
    "unfinished connections": r"pnl_unfinished_connections",
    "clients": r'pnl_clients{transport="\w+"}',
}


@dataclass(frozen=True)
class Held:
    """What the server holds: counts by name, and resident memory in bytes; and what it has done since its start."""

    counts: dict[str, float]
    memory: float
    replaced: float
    """Messages that it has replaced by newer ones."""
    ticks: float


@dataclass(frozen=True)
class Report:
    """One soak: what was held before and after, and what the clients met.

    `alone` is the memory, before and after, of a server without clients; None where there was none.
    """

    seconds: float
    before: Held
    after: Held
    soak: Soak
    alone: tuple[float, float] | None = None


async def soak(
    url: str,
    seconds: float,
    *,
    each: int = EACH,
    warm_up: float = WARM_UP,
    publications: int = 0,
    watched: float = WATCHED,
    alone: str | None = None,
    seed: int = 7,
) -> Report:
    """Load the server at `url` for `seconds`, after a warm-up of the same kind.

    The warm-up lasts `warm_up` seconds and until this server, and the one at `alone`, have published `publications`.
    Counts are the lowest within `watched` seconds; after the load it takes more, `WATCHED` at most, until they are no
    higher than before.
    """
    host, _, port = url.removeprefix("http://").rpartition(":")
    state = Soak(host, int(port), STAY, random.Random(seed))
    idle: list[float] = []
    async with aiohttp.ClientSession() as session:
        async with clients(state, each):
            await asyncio.sleep(warm_up)
            for server in filter(None, (url, alone)):
                await ticked(session, server, publications)
        before = await lowest(session, url, watched)
        if alone:
            idle.append((await held(session, alone)).memory)
        async with clients(state, each):
            await asyncio.sleep(seconds)
        after = await lowest(session, url, watched, before)
        if alone:
            idle.append((await held(session, alone)).memory)
    return Report(seconds, before, after, state, (idle[0], idle[1]) if idle else None)


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
    return Held(
        counts,
        total("process_resident_memory_bytes"),
        total("pnl_messages_dropped_total"),
        total("pnl_tick_seconds_count"),
    )


async def ticked(session: aiohttp.ClientSession, url: str, ticks: int) -> None:
    """Wait until the server has made so many ticks."""
    while (await held(session, url)).ticks < ticks:  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(1.0)


async def lowest(session: aiohttp.ClientSession, url: str, watched: float, goal: Held | None = None) -> Held:
    """The lowest of each count within `watched` seconds, and the memory at their end.

    With `goal` it takes longer where a count is above the goal's, `WATCHED` seconds at most.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    now = await held(session, url)
    counts = now.counts

    def enough() -> bool:
        return goal is None or all(counts[name] <= goal.counts[name] for name in COUNTS)

    while (took := loop.time() - began) < WATCHED and (took < watched or not enough()):
        await asyncio.sleep(0.5)
        now = await held(session, url)
        counts = {name: min(count, now.counts[name]) for name, count in counts.items()}
    return Held(counts, now.memory, now.replaced, now.ticks)


def table(report: Report) -> str:
    before, after, met = report.before, report.after, report.soak
    rows = [f"| {name} | {before.counts[name]:.0f} | {after.counts[name]:.0f} |" for name in COUNTS]
    rows.append(f"| memory, MB | {_mb(before.memory)} | {_mb(after.memory)} |")
    if report.alone:
        rows.append(f"| memory of a server without clients, MB | {_mb(report.alone[0])} | {_mb(report.alone[1])} |")
    rows.append(f"| messages replaced since the start | {before.replaced:,.0f} | {after.replaced:,.0f} |")
    visits = ", ".join(f"{count:,} {kind}" for kind, count in sorted(met.visits.items()))
    return (
        "| the server holds | before | after |\n|---|---|---|\n" + "\n".join(rows) + f"\n\n{report.seconds:.0f} s, "
        f"{after.ticks - before.ticks:,.0f} ticks. Warm-up included: {sum(met.visits.values()):,} visits ({visits}); "
        f"{sum(met.updates.values()):,} updates read, {len(met.faults)} missed or out of order. In place of "
        f"{met.replaced:,} updates a reading client got a newer one; the server counts {after.replaced:,.0f} messages "
        "replaced, those of clients that never read and of visits that ended before the newer one came included.\n"
    )


def _mb(memory: float) -> str:
    return f"{memory / 2**20:.1f}"


async def measure(seconds: float) -> str:
    env = {"DEMO": "true", "UPDATE_INTERVAL_MS": str(INTERVAL_MS)}
    async with served(**env) as server, served(**env) as alone:
        report = await soak(server.url, seconds, publications=RING, alone=alone.url)
    return table(report) + "".join(f"\n- {fault}" for fault in report.soak.faults[:20])


def main() -> str:
    """Measure; the table as Markdown, also written to bench/results/soak.md."""
    os.sched_setaffinity(0, {1} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    seconds = float(sys.argv[1]) if len(sys.argv) == 2 and sys.argv[1].isdigit() else SECONDS
    found = uvloop.run(measure(seconds))
    RESULTS.mkdir(exist_ok=True)
    note = (
        f"Default limits, a tick every {INTERVAL_MS} ms, {EACH} clients of each kind on one core; on the other the "
        f"server, and beside it one that has no clients. The first count is taken when the ring of {RING:,} "
        f"publications is full; counts are the lowest in {WATCHED:.0f} s after the last client."
    )
    (RESULTS / "soak.md").write_text(f"# The soak\n\n{note}\n\n{found}")
    print(found)
    return found


if __name__ == "__main__":
    main()
