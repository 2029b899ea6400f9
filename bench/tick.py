"""What one tick costs with 1, 100 and 1,000 open positions, and how long a start takes until the first snapshot.

    python -m bench.tick

The full server runs in a process of its own on core 0; the simulator that plays its upstreams runs in this one on core
1. Stages are the server's own, read from its /metrics: `fetch` is the wait for the upstreams with reading their
answers, the rest is what the server adds. "Reading" is the CPU time of turning Kalshi's answers, JSON included, into
positions, measured here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from pnl_backend.simulator import Book, Credentials, Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.json_text import parse_json
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SIZES = (1, 100, 1000)
TICKS = 60
STARTS = 5
STAGES = ("fetch", "compute", "commit", "publish")


@dataclass(frozen=True)
class Server:
    url: str
    seconds_to_ready: float


@contextlib.asynccontextmanager
async def served(**env: str) -> AsyncIterator[Server]:
    """The server on core 0, ready."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            "taskset", "-c", "0", sys.executable, str(ROOT / "server.py"),
            cwd=folder, env={"PATH": os.environ["PATH"], "PORT": "0", "RATE_LIMIT_PER_MINUTE": "0", **env},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        url, said = "", b""
        async for line in process.stdout:
            said += line
            if found := re.search(rb"P&L server ready: (\S+)", line):
                url = found[1].decode()
                break
        if not url:
            raise RuntimeError(said.decode())
        took = time.monotonic() - began
        drain = asyncio.create_task(process.stdout.read())
        try:
            yield Server(url, took)
        finally:
            process.terminate()
            await process.wait()
            await drain


async def stage_sums(session: aiohttp.ClientSession, url: str) -> dict[str, tuple[float, float]]:
    """Seconds and count by stage, since the start."""
    async with session.get(f"{url}/metrics") as answer:
        text = await answer.text()

    def value(kind: str, stage: str) -> float:
        found = re.search(rf'pnl_tick_stage_seconds_{kind}{{stage="{stage}"}} (\S+)', text)
        return float(found[1]) if found else 0.0

    return {stage: (value("sum", stage), value("count", stage)) for stage in STAGES}


async def tick_cost(positions: int) -> dict[str, float]:
    """Mean milliseconds of each stage."""
    async with Simulator(Book.sized(positions, time.time()), step_interval=None, kalshi_rate=None) as simulator:
        env = {
            **simulator.environment(),
            "UPDATE_INTERVAL_MS": "250",
            "KALSHI_POLL_MS": "250",
        }
        reading = await reading_cost(simulator, simulator.credentials())
        async with served(**env) as server, aiohttp.ClientSession() as session:
            await asyncio.sleep(2)
            before = await stage_sums(session, server.url)
            simulator.step()
            await asyncio.sleep(TICKS * 0.25)
            after = await stage_sums(session, server.url)
    means = {s: 1000 * (after[s][0] - before[s][0]) / max(1, after[s][1] - before[s][1]) for s in STAGES}
    return {"reading": reading, **means}


async def reading_cost(simulator: Simulator, given: Credentials) -> float:
    """CPU milliseconds of this process for one fetch, less what playing the upstream costs: median of ten."""
    async with aiohttp.ClientSession() as session:
        client = UpstreamClient(session, timeout=30)
        signer = Signer.from_pem(given.kalshi_key_id, given.kalshi_private_key_pem)
        fetcher = KalshiFetcher(client, base_url=simulator.kalshi_url, signer=signer)
        answers: dict[object, str] = {}
        read = client.get_json

        async def keep(*args: Any, **kwargs: Any) -> Any:
            answer = await read(*args, **kwargs)
            answers[asked(*args, **kwargs)] = json.dumps(answer, default=float)
            return answer

        client.get_json = keep  # type: ignore[method-assign]  # records the answers, which `again` returns
        await fetcher.fetch()

        async def again(*args: Any, **kwargs: Any) -> Any:
            return parse_json(answers[asked(*args, **kwargs)])

        client.get_json = again  # type: ignore[method-assign]  # returns the recorded answers
        costs = []
        for _ in range(10):
            began = time.process_time()
            await fetcher.fetch()
            costs.append(1000 * (time.process_time() - began))
    return statistics.median(costs)


def asked(_upstream: object, url: str, *, params: Iterable[tuple[str, str]] = (), **_: object) -> object:
    """A request, but for the time from which settlements are wanted."""
    return url, tuple(pair for pair in params if pair[0] != "min_ts")


async def start_cost() -> float:
    """Seconds from the command to the first snapshot served, demo included: median of some starts."""
    took = []
    for _ in range(STARTS):
        async with served(DEMO="true") as server:
            took.append(server.seconds_to_ready)
    return statistics.median(took)


async def measure() -> str:
    columns = ("reading", *STAGES)
    lines = [f"| open positions | {' | '.join(columns)} | server's own |", "|---" * (len(columns) + 2) + "|"]
    for positions in SIZES:
        cost = await tick_cost(positions)
        own = cost["reading"] + cost["compute"] + cost["commit"] + cost["publish"]
        row = " | ".join(f"{cost[column]:.2f}" for column in columns)
        lines.append(f"| {positions:,} | {row} | **{own:.2f}** |")
        print(lines[-1], flush=True)
    start = await start_cost()
    return (
        "\n".join(lines) + f"\n\nFrom the command to the first snapshot: {start:.2f} s (median of {STARTS} starts).\n"
    )


def main() -> str:
    """Measure; the table as Markdown, also written to bench/results/tick.md."""
    os.sched_setaffinity(0, {1} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    table = asyncio.run(measure())
    RESULTS.mkdir(exist_ok=True)
    note = "Milliseconds, means of the server's own clock; `fetch` contains the upstream's time, the last column not."
    (RESULTS / "tick.md").write_text(f"# One tick\n\n{note}\n\n{table}")
    print(table)
    return table


if __name__ == "__main__":
    main()
