"""One history with a server: started, stopped and killed on one ledger, with the calculator beside it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from pnl_backend.app import running
from pnl_backend.settings.model import Settings
from pnl_backend.simulator import Simulator
from tests.support.calculator import figures, per_market, spend_by_day, unexplained
from tests.support.events import Event
from tests.support.everyfeed import EveryFeed, every_feed
from tests.support.histories import Played, Step
from tests.support.published import Figures, cents
from tests.support.server import ROOT, ServerProcess, upstream_env
from tests.support.shifted_server import advance, shifted
from tests.waiting import PATIENCE

"""Seconds within which every feed is to show what happened."""
DAYS = 20
"""Days before the first one that spend counts from."""
DAY = 86_400
SUBACCOUNTS = {"0": range(1), "0,1": range(2), "all": range(64)}
"""The values of KALSHI_SUBACCOUNTS that are played, and which subaccounts they mean."""
TOLERANCE = Decimal("0.05")
"""USD of difference from which on the server is to say that the equity does not reconcile."""
ROUNDING = Decimal("0.02")
"""USD: Kalshi tells the worth of positions in whole cents, and the gap is rounded as well."""
SHOWN = 12
"""Differences that are printed."""
FAST = {
    "update_interval_ms": 100,
    "kalshi_poll_ms": 50,
    "anthropic_poll_ms": 50,
    "johns_poll_ms": 50,
    "fetch_timeout_ms": 1000,
    "circuit_breaker_reset_timeout": 200,
    "rate_limit_per_minute": 0,
    "reconciliation_tolerance": TOLERANCE,
}


class Host(Protocol):
    """Runs the server on a ledger of its own."""

    async def start(self, since: Any) -> str:
        """The URL; spend counts from the day `since`."""

    async def stop(self) -> None: ...


class InProcess:
    """The server in this process; stopping drains and closes it."""

    def __init__(self, folder: Path, simulator: Simulator, subaccounts: str) -> None:
        self._folder = folder
        self._simulator = simulator
        self._subaccounts = subaccounts
        self._stack = AsyncExitStack()

    async def start(self, since: Any) -> str:
        # `_env_file` is pydantic's: a developer's own settings are not read.
        given: dict[str, Any] = {**FAST, **self._simulator.settings(), "pnl_since": since, "_env_file": None}
        given |= {"kalshi_subaccounts": self._subaccounts}
        given |= {"port": 0, "db_path": self._folder / "pnl.db", "log_dir": self._folder}
        return (await self._stack.enter_async_context(running(Settings(**given)))).url

    async def stop(self) -> None:
        await self._stack.aclose()


class Killed:
    """The server in a process of its own, with the shifted clock; stopping is kill -9."""

    def __init__(self, folder: Path, simulator: Simulator, subaccounts: str) -> None:
        env = {"KALSHI_SUBACCOUNTS": subaccounts} | {name.upper(): str(value) for name, value in FAST.items()}
        env |= upstream_env(simulator, simulator.credentials())
        self._env = {**env, "CLOCK_SHIFT": str(folder / "shift"), "PYTHONPATH": str(ROOT)}
        self._folder = folder
        self._server: ServerProcess | None = None

    async def start(self, since: Any) -> str:
        program = (sys.executable, "-m", "tests.support.shifted_server")
        self._server = ServerProcess(self._folder, program=program, **self._env, PNL_SINCE=since.isoformat())
        return (await self._server.start()).url

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.kill()
            assert "Traceback" not in self._server.log, self._server.log[-4000:]


class Session:
    """Runs the steps of one history; `check` compares every figure on every feed."""

    def __init__(self, simulator: Simulator, host: Host, *, subaccounts: str = "0", shift: Path | None = None) -> None:
        self._subaccounts = SUBACCOUNTS[subaccounts]
        self._clock: Callable[[], float] = time.time if shift is None else lambda: shifted(shift)
        self._shift = shift
        self.played = Played(simulator, self._clock)
        self._simulator = simulator
        self._host = host
        self._since = self.played.today - timedelta(days=DAYS)
        self._day = self.played.today
        self._feeds: EveryFeed | None = None
        self._connected = AsyncExitStack()
        self._baseline: Decimal | None = None
        self._begun = self._trade_facts_fail = False
        self._checked = 0
        self._read = 0
        """Events before this one had been seen on every feed, and so many updates have been looked at."""

    async def run(self, history: Sequence[Step]) -> None:
        try:
            for step in (*history, ("check",)):
                await self._step(step)
            await self._stop()
        finally:
            await self._connected.aclose()
            await self._host.stop()

    async def _step(self, step: Step) -> None:
        match step[0]:
            case "start":
                await self._start()
            case "stop":
                await self._stop()
            case "check":
                await self._check()
            case "day":
                await self._next_day()
            case "usage" | "credit" | "forget" if self._begun and step[1] > 1:
                # Closed days are asked again once a day.
                if self.played.play(step):
                    await self._next_day()
            case _:
                self._trade_facts_fail |= step[:2] == ("fault", "kalshi")
                self.played.play(step)
                # Something between two steps, so that polls come between them.
                await asyncio.sleep(0.01)

    async def _start(self) -> None:
        if self._feeds is None:
            self._trade_facts_fail = "kalshi" in self._simulator.faults.in_force()
            url = await self._host.start(self._since)
            self._feeds = await self._connected.enter_async_context(every_feed(url))
            self._begun, self._read = True, 0

    async def _stop(self) -> None:
        if self._feeds is not None:
            await self._find_baseline(self._feeds)
            self._check_updates(self._feeds)
            self._feeds = None
            await self._connected.aclose()
            await self._host.stop()

    async def _next_day(self) -> None:
        """The same time of the next day."""
        assert self._shift is not None
        advance(self._shift, DAY)
        self._day, self._baseline = self.played.today, None

    def _expected(self, events: Sequence[Event] | None = None) -> Figures:
        chosen = self.played.events if events is None else events
        return figures(chosen, since=self._since, today=self.played.today, subaccounts=self._subaccounts)

    async def _check(self) -> None:
        await self._start()
        assert self._feeds is not None
        self._simulator.clear_faults()
        deadline = time.monotonic() + PATIENCE
        # A real midnight in the middle of a history changes what the day is measured against.
        while differing := await self._feeds.differences(
            self._expected(), self._baseline if self.played.today == self._day else None
        ):
            if time.monotonic() > deadline:
                lines = [f"  {feed}: {field} is {shown!r}, not {due}" for feed, field, shown, due in differing]
                raise AssertionError("\n".join([f"{len(lines)} figures differ:", *lines[:SHOWN]]))
            await asyncio.sleep(0.02)
        await self._check_books(self._feeds)
        await self._find_baseline(self._feeds)
        self._check_updates(self._feeds)
        self._checked = len(self.played.events)

    async def _check_books(self, feeds: EveryFeed) -> None:
        """Only what no trade and no deposit explains is a gap; realized P&L is what fills and settlements give.

        Lists that failed are read again a minute later, which this does not wait for.
        """
        if self._trade_facts_fail:
            return
        due, deadline = unexplained(self.played.events, self._subaccounts), time.monotonic() + PATIENCE
        while (gap := await feeds.gap()) is None or abs(gap - due) > ROUNDING:
            if time.monotonic() > deadline:
                raise AssertionError(f"the account's equity is off by {gap}, not by {due}")
            await asyncio.sleep(0.02)
        # It is None for as long as not every outcome is known; a market that moves differs for a moment.
        reconciles = abs(due) < TOLERANCE
        unsure = abs(abs(due) - TOLERANCE) <= ROUNDING
        while (verified := await feeds.verified())["realized"] is False or not (
            unsure or verified["equity"] is reconciles
        ):
            if time.monotonic() > deadline:
                raise AssertionError(f"it says {verified} where the equity is off by {due}")
            await asyncio.sleep(0.02)

    async def _find_baseline(self, feeds: EveryFeed) -> None:
        """Note the last complete snapshot before the day; without any, the first one."""
        if self._baseline is None:
            rows = (await feeds.get("/api/pnl/history?limit=1000"))["data"]["data"]
            complete = [row for row in rows if all(map(_is_complete, row["sources"].values()))]
            began = int(self._clock()) // DAY * DAY * 1000
            before = [row for row in complete if row["calculatedAt"] < began]
            for row in [*before[-1:], *complete[:1]][:1]:
                self._baseline = Decimal(str(row["netPnL"]))

    def _check_updates(self, feeds: EveryFeed) -> None:
        """What was published since the last check was true of each market, day and deal at some moment since then."""
        updates, self._read = feeds.updates[self._read :], len(feeds.updates)
        states = [self.played.events[:count] for count in range(self._checked, len(self.played.events) + 1)]
        markets = [per_market(events, self._subaccounts) for events in states]
        allowed = {
            ("kalshi", "realizedPnl"): _mixtures([{name: made[0] for name, made in one.items()} for one in markets]),
            ("kalshi", "fees"): _mixtures([{name: made[1] for name, made in one.items()} for one in markets]),
            ("anthropic", "totalSpend"): _mixtures([spend_by_day(events, since=self._since) for events in states]),
            ("johns", "collected"): {self._expected(events).collected for events in states},
        }
        for update in updates:
            for (source, field), values in allowed.items():
                if _is_complete(update["sources"][source]):
                    shown = Decimal(str(update["components"][source][field]))
                    assert shown in values, f"{source}.{field} was {shown}, never one of {sorted(values)}: {update}"


def _is_complete(source: dict[str, Any]) -> bool:
    return source["status"] != "degraded" and source.get("importing") is None


def _mixtures(states: Iterable[dict[Any, Decimal]]) -> set[Decimal]:
    """Every sum of one value of each name, in whole cents: each part may have been read at another moment."""
    listed = list(states)
    sums = {Decimal(0)}
    for name in {name for state in listed for name in state}:
        several = {state.get(name, Decimal(0)) for state in listed}
        sums = {total + value for total in sums for value in several}
    return {cents(total) for total in sums}
