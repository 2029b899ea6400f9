"""A fetcher that follows a script, and a guard around it on clocks that the test moves."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from loguru import logger

from pnl_backend.domain.readings import Fetched, Revenue
from pnl_backend.errors import FetchError
from pnl_backend.ingest.guard import Guard, Outcome
from tests.sources.support import Cache, Clock
from tests.support.snapshots import guarded

WALL = 1_772_058_240.0


class Script:
    """A fetcher that answers with the next of what it was handed; an Event is waited for first."""

    def __init__(self) -> None:
        self.calls = 0
        self.answers: list[object] = []
        self.gate: asyncio.Event | None = None
        self.cancelled = 0
        self._called = asyncio.Condition()

    async def asked(self, times: int) -> None:
        """Wait until so many fetches have begun."""
        async with self._called:
            await self._called.wait_for(lambda: self.calls >= times)

    async def fetch(self) -> Fetched[Revenue]:
        async with self._called:
            self.calls += 1
            self._called.notify_all()
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, int)
        return Fetched(Revenue(Decimal(answer), Decimal(answer)), as_of=answer)


@pytest.fixture
def wall() -> Clock:
    return Clock(WALL)


@pytest.fixture
def mono() -> Clock:
    return Clock(100.0)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def outcomes() -> list[Outcome]:
    return []


@pytest.fixture
async def guard(script: Script, cache: Cache, wall: Clock, mono: Clock, outcomes: list[Outcome]):
    made = guarded(
        "johns", script, cache, poll_interval=15, timeout=5, clock=wall, monotonic=mono, on_outcome=outcomes.append
    )
    yield made
    await made.close()


@pytest.fixture
def lines() -> list[str]:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(f"{message.record['level'].name} {message.record['message']}"))
    yield said
    logger.remove(sink)


async def fail(guard: Guard[Revenue], script: Script, mono: Clock, times: int) -> None:
    """Let so many fetches in a row fail, each when it is due."""
    script.answers = [FetchError("Acme answered 500")]
    for _ in range(times):
        mono.at += 15
        await guard.read()
