"""The first import of earlier days: progress, several fetches, and windows that take too long."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pnl_backend.domain.readings import Progress
from pnl_backend.errors import UpstreamTimeout
from pnl_backend.simulator import Fault
from pnl_backend.sources.anthropic.fetcher import AnthropicFetcher
from pnl_backend.sources.base import UpstreamClient
from tests.sources.anthropic.support import DAY, TODAY
from tests.sources.support import Clock

SINCE = TODAY - 320 * DAY
LAST = TODAY - 2 * DAY


async def test_an_import_that_takes_long_goes_on_in_the_next_fetch(make, simulator, memory):
    mono = Clock(0.0)
    fetcher = make(since=SINCE, monotonic=mono)
    memory.on_save = lambda: setattr(mono, "at", mono.at + 4)  # each window takes 4 of the 10 seconds
    value = (await fetcher.fetch()).value
    assert value.importing == Progress("days of cost", 93, 319)
    truth = simulator.truth().anthropic
    known = {day: usd for day, usd in truth.by_day.items() if day < SINCE + 93 * DAY or day > LAST}
    assert value.total_spend == sum(usd for day, usd in known.items() if day >= SINCE)
    assert value.daily_spend == truth.daily_spend
    done = [93]
    while value.importing is not None:
        value = (await fetcher.fetch()).value
        done.append(319 if value.importing is None else value.importing.done)
    assert done == [93, 186, 279, 319]
    assert value.total_spend == truth.total_since(SINCE)
    assert [last - first for first, last, _ in memory.saved] == [timedelta(30)] * 10 + [timedelta(8)]


async def test_a_new_process_goes_on_with_the_import(make, simulator, memory):
    mono = Clock(0.0)
    memory.on_save = lambda: setattr(mono, "at", mono.at + 11)
    assert (await make(since=SINCE, monotonic=mono).fetch()).value.importing == Progress("days of cost", 31, 319)
    memory.on_save = None
    value = (await make(since=SINCE).fetch()).value
    assert (value.importing, value.total_spend) == (None, simulator.truth().anthropic.total_since(SINCE))
    assert len(memory.saved) == 11


class Impatient(UpstreamClient):
    """A client whose deadline for a call can be changed."""

    def wait(self, seconds: float) -> None:
        self._timeout = seconds


@pytest.mark.parametrize("how", ["a call", "the whole fetch"])
async def test_a_window_that_takes_too_long_is_asked_for_in_smaller_ones(simulator, memory, session, clock, how):
    client = Impatient(session, timeout=0.3 if how == "a call" else 10)
    fetcher = AnthropicFetcher(
        client,
        base_url=simulator.anthropic_url,
        api_key=simulator.credentials().anthropic_key,
        since=SINCE,
        closed_days=memory,
        clock=clock,
    )
    simulator.set_fault("anthropic", Fault.hang())
    for _ in range(2):
        with pytest.raises((TimeoutError, UpstreamTimeout)):
            async with asyncio.timeout(5 if how == "a call" else 0.3):
                await fetcher.fetch()
    simulator.clear_faults()
    client.wait(10)
    value = (await fetcher.fetch()).value
    assert value.total_spend == simulator.truth().anthropic.total_since(SINCE)
    assert memory.saved[0][:2] == (SINCE, SINCE + 6 * DAY)


async def test_more_rows_than_a_page_holds_are_read_while_amounts_grow(make, simulator, memory):
    """Equal amounts change places between two pages, unless the order is by time."""
    for number in range(1500):
        simulator.usage.use_model(
            "claude-opus-5-5", input_tokens=1000, output_tokens=0, days_ago=0, workspace_id=f"wrkspc_{number}"
        )
    value = (await make(since=TODAY - 3 * DAY).fetch()).value
    assert value.daily_spend == simulator.truth().anthropic.daily_spend
    assert len({row.workspace_id for row in value.rows}) > 1500
