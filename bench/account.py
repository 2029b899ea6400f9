"""What the first import of a large Kalshi account costs, and what a poll costs afterwards, beside smaller accounts.

    python -m bench.account [polls]

The full server runs in a process of its own on core 0, with its defaults but for a poll and a tick a second; the
simulator that plays its upstreams runs in this one on core 1, with the request rate of a Basic account at Kalshi. Bytes
are those of the bodies that the simulated Kalshi sent, CPU seconds those of the server's process, memory the most that
it ever held. "Lag" is how late the server's event loop ran at worst: it counts what else the machine does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from bench.server_process import Server, environment, served
from pnl_backend.simulator import Book, Simulator

RESULTS = Path(__file__).parent / "results"
POLLS = 60
PATIENCE = 900.0
VERIFIED_WITHIN = 240.0
"""Seconds after the last fill was stored."""
BALANCE = "/portfolio/balance"


@dataclass(frozen=True)
class Size:
    """An account: so many settled and open markets, and fills."""

    settled: int
    still_open: int
    fills: int

    @property
    def name(self) -> str:
        return f"{self.settled:,} settled, {self.still_open:,} open, {self.fills:,} fills"


SIZES = (Size(10, 10, 300), Size(20, 500, 7_600), Size(20_000, 500, 300_000))
BASE, LARGE = SIZES[1:]


@dataclass
class Cost:
    """Of the import: seconds until figures were complete, every fill stored and all verified, and what was read."""

    complete_after: float = 0.0
    stored_after: float = 0.0
    verified_after: float | None = None
    import_cpu: float = 0.0
    import_bytes: int = 0
    import_requests: int = 0
    import_lag_ms: float = 0.0
    import_busy_ms: float = 0.0
    peak_mb: float = 0.0
    poll_bytes: float = 0.0
    poll_cpu_ms: float = 0.0
    poll_requests: float = 0.0
    poll_lag_ms: float = 0.0
    poll_busy_ms: float = 0.0


async def until(holds: Callable[[], bool], server: Server) -> None:
    """Wait; RuntimeError with the server's log after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it never came to that:\n{server.log.decode(errors='replace')}")
        await asyncio.sleep(0.2)


async def until_complete(server: Server, simulator: Simulator, session: aiohttp.ClientSession) -> None:
    """Wait until the figures are the account's whole ones."""
    truth = simulator.truth().kalshi
    wanted = {"realizedPnl": truth.realized_pnl, "fees": truth.fees, "balance": truth.balance}
    deadline, shown = time.monotonic() + PATIENCE, {}
    while time.monotonic() < deadline:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{server.url}/api/pnl/current") as answer:
                data = (await answer.json())["data"]
            source, shown = data["sources"]["kalshi"], data["components"]["kalshi"]
            whole = all(abs(Decimal(str(shown[name])) - due) <= Decimal("0.005") for name, due in wanted.items())
            if source["status"] == "live" and source.get("importing") is None and whole:
                return
        await asyncio.sleep(0.2)
    raise RuntimeError(f"{shown} never became {wanted}:\n{server.log.decode(errors='replace')}")


async def is_verified(server: Server, session: aiohttp.ClientSession) -> bool:
    """Wait until realized P&L was derived a second time; False after VERIFIED_WITHIN seconds."""
    deadline = time.monotonic() + VERIFIED_WITHIN
    while time.monotonic() < deadline:
        async with session.get(f"{server.url}/api/pnl/current") as answer:
            verified = (await answer.json())["data"]["sources"]["kalshi"]["verified"]
        if verified is not None and verified["realized"] is not None:
            return True
        await asyncio.sleep(0.5)
    return False


async def measure_import(server: Server, simulator: Simulator, session: aiohttp.ClientSession, fills: int) -> Cost:
    began = time.monotonic()
    cost = Cost()
    await until(lambda: bool(server.url), server)
    await until_complete(server, simulator, session)
    cost.complete_after = time.monotonic() - began
    await until(lambda: server.stored_fills() >= fills, server)
    cost.stored_after = time.monotonic() - began
    if await is_verified(server, session):
        cost.verified_after = time.monotonic() - began
    cost.import_cpu, cost.peak_mb = server.cpu(), server.peak_mb()
    cost.import_lag_ms, cost.import_busy_ms = await server.worst_lag()
    cost.import_bytes = sum(simulator.sent["kalshi"].values())
    cost.import_requests = sum(simulator.requests["kalshi"].values())
    return cost


async def measure_polls(server: Server, simulator: Simulator, cost: Cost, polls: int) -> None:
    """Let so many polls pass; a fill now and then, as on an account that trades."""
    asked = simulator.requests["kalshi"]
    before: dict[str, Any] = {"cpu": server.cpu(), "sent": simulator.sent["kalshi"].total(), "asked": asked.total()}
    await server.worst_lag()
    first = asked[BALANCE]
    ticker = next(market.ticker for market in simulator.trading.markets.values() if market.status == "active")
    for number in range(polls):
        await until(lambda number=number: asked[BALANCE] > first + number, server)  # type: ignore[misc] # mypy does not infer a lambda's default
        if number % 10 == 5:
            simulator.kalshi.trade(ticker, "yes", Decimal(1), Decimal("0.41"))
    done = asked[BALANCE] - first
    cost.poll_bytes = (simulator.sent["kalshi"].total() - before["sent"]) / done
    cost.poll_requests = (asked.total() - before["asked"]) / done
    cost.poll_cpu_ms = 1000 * (server.cpu() - before["cpu"]) / done
    cost.poll_lag_ms, cost.poll_busy_ms = await server.worst_lag()
    cost.peak_mb = max(cost.peak_mb, server.peak_mb())


async def cost_of(size: Size, polls: int) -> Cost:
    book = Book.large(time.time(), settled=size.settled, still_open=size.still_open, fills=size.fills)
    async with (
        Simulator(book, step_interval=None) as simulator,
        aiohttp.ClientSession() as session,
        served(environment(simulator)) as server,
    ):
        cost = await measure_import(server, simulator, session, size.fills)
        # What follows a first import (indexes, caches) belongs to no poll.
        await asyncio.sleep(15)
        await measure_polls(server, simulator, cost, polls)
    return cost


IMPORT = (
    "| account | figures complete | every fill stored | verified | CPU | read | requests | lag | busy | memory peak |"
)
POLL = "| account | read | requests | CPU | lag | busy |"


async def measure(polls: int) -> str:
    costs = {}
    for size in SIZES:
        costs[size] = cost = await cost_of(size, polls)
        print(size.name, cost, flush=True)
    lines = ["## First import\n", IMPORT, "|---" * 10 + "|"]
    for size, cost in costs.items():
        verified = "no" if cost.verified_after is None else f"{cost.verified_after:.1f} s"
        lines.append(
            f"| {size.name} | {cost.complete_after:.1f} s | {cost.stored_after:.1f} s "
            f"| {verified} | {cost.import_cpu:.1f} s "
            f"| {cost.import_bytes / 1e6:.1f} MB | {cost.import_requests:,} | {cost.import_lag_ms:.0f} ms "
            f"| {cost.import_busy_ms:.0f} ms | {cost.peak_mb:.0f} MB |"
        )
    lines += ["\n## A poll afterwards\n", POLL, "|---" * 6 + "|"]
    for size, cost in costs.items():
        lines.append(
            f"| {size.name} | {cost.poll_bytes / 1e3:.1f} kB | {cost.poll_requests:.1f} | {cost.poll_cpu_ms:.1f} ms "
            f"| {cost.poll_lag_ms:.0f} ms | {cost.poll_busy_ms:.0f} ms |"
        )
    base, large = costs[BASE], costs[LARGE]
    ratios = [
        large.poll_bytes / base.poll_bytes,
        large.poll_requests / base.poll_requests,
        large.poll_cpu_ms / base.poll_cpu_ms,
        large.poll_lag_ms / base.poll_lag_ms,
        large.poll_busy_ms / base.poll_busy_ms,
    ]
    shown = " | ".join(f"**{ratio:.2f}**" for ratio in ratios)
    lines.append(f"| {LARGE.settled:,} settled against {BASE.settled}, with {LARGE.still_open} open each | {shown} |")
    return "\n".join(lines) + "\n"


def main() -> str:
    """Measure; the tables as Markdown, also written to bench/results/account.md."""
    polls = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else POLLS
    os.sched_setaffinity(0, {1} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    tables = asyncio.run(measure(polls))
    RESULTS.mkdir(exist_ok=True)
    note = (
        "`python -m bench.account`: the server on one core, the simulated upstreams on another, a poll and a tick a "
        f"second, {polls} polls. The last line is to stay below 1.5.\n"
    )
    (RESULTS / "account.md").write_text(f"# A large account\n\n{note}\n{tables}")
    print(tables)
    return tables


if __name__ == "__main__":
    main()
