"""The Anthropic fetcher and closed days: stored, imported, revised, and no longer fetched."""

from __future__ import annotations

import asyncio

from pnl_backend.simulator import Fault
from tests.sources.anthropic.support import ANALYTICS, DAY, TODAY


async def test_spend_is_the_truth_and_closed_days_are_asked_for_once(make, simulator, memory, clock):
    fetcher = make()
    since = TODAY - 40 * DAY
    value = (await fetcher.fetch()).value
    truth = simulator.truth().anthropic
    assert (value.daily_spend, value.total_spend) == (truth.daily_spend, truth.total_since(since))
    assert (value.since, value.today, value.estimated, value.notes) == (since, TODAY, False, ())
    assert [(first, last) for first, last, _ in memory.saved] == [
        (since, since + 30 * DAY),
        (since + 31 * DAY, TODAY - 2 * DAY),
    ]
    before = simulator.requests["anthropic"][ANALYTICS]
    simulator.step(300)
    value = (await fetcher.fetch()).value
    assert value.total_spend == simulator.truth().anthropic.total_since(since)
    assert simulator.requests["anthropic"][ANALYTICS] - before == 2


async def test_a_new_process_starts_from_the_stored_days(make, simulator, memory):
    await make().fetch()
    before = simulator.requests["anthropic"][ANALYTICS]
    value = (await make().fetch()).value
    assert value.total_spend == simulator.truth().anthropic.total_since(TODAY - 40 * DAY)
    assert simulator.requests["anthropic"][ANALYTICS] - before == 2


async def test_days_without_cost_are_closed_too(make, simulator, memory):
    since = TODAY - 90 * DAY
    value = (await make(since=since).fetch()).value
    assert value.total_spend == simulator.truth().anthropic.total_since(since)
    closed = (await memory.load()).days
    assert closed == {since + n * DAY for n in range(89)}
    before = simulator.requests["anthropic"][ANALYTICS]
    await make(since=since).fetch()
    assert simulator.requests["anthropic"][ANALYTICS] - before == 2


async def test_a_backfill_that_is_cut_off_resumes_where_it_was(make, simulator, memory, session):
    since = TODAY - 90 * DAY
    memory.on_save = lambda: simulator.set_fault("anthropic", Fault.hang())
    task = asyncio.create_task(make(since=since).fetch())
    await memory.any_saved.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    memory.on_save = None
    simulator.clear_faults()
    assert len(memory.saved) == 1
    value = (await make(since=since).fetch()).value
    assert value.total_spend == simulator.truth().anthropic.total_since(since)
    spans = sorted((first, last) for first, last, _ in memory.saved)
    assert [first for first, _ in spans] == [since, since + 31 * DAY, since + 62 * DAY]


async def test_the_day_rolls_over_while_running(make, simulator, memory, clock):
    since = TODAY - 5 * DAY
    fetcher = make(since=since)
    await fetcher.fetch()
    for _ in range(3):
        clock.at += 86_400
        simulator.step(50)
        value = (await fetcher.fetch()).value
        truth = simulator.truth().anthropic
        assert value.today == truth.today
        assert (value.daily_spend, value.total_spend) == (truth.daily_spend, truth.total_since(since))
    saved = [(first, last) for first, last, _ in memory.saved]
    assert saved == [(since, TODAY + n * DAY) for n in range(-2, 2)], "the last seven closed days once a day"


async def test_a_clock_that_goes_back_counts_no_day_twice(make, simulator, clock):
    since = TODAY - 9 * DAY
    fetcher = make(since=since)
    await fetcher.fetch()
    clock.at -= 3 * 86_400
    value = (await fetcher.fetch()).value
    assert len({(r.day, r.model, r.workspace_id) for r in value.rows}) == len(value.rows)
    known = simulator.truth().anthropic.by_day
    assert value.total_spend == sum(usd for day, usd in known.items() if since <= day <= TODAY - 3 * DAY)
    assert max(r.day for r in value.rows) == TODAY - 3 * DAY


async def test_the_first_day_asks_for_today_alone(make, simulator):
    value = (await make(since=TODAY).fetch()).value
    assert value.total_spend == value.daily_spend == simulator.truth().anthropic.daily_spend
    assert simulator.requests["anthropic"][ANALYTICS] == 1


async def test_a_memory_that_fails_costs_no_figure_and_is_caught_up_with(make, simulator, memory):
    memory.failing = True
    fetcher = make()
    truth = simulator.truth().anthropic.total_since(TODAY - 40 * DAY)
    assert (await fetcher.fetch()).value.total_spend == truth
    before = simulator.requests["anthropic"][ANALYTICS]
    memory.failing = False
    assert (await fetcher.fetch()).value.total_spend == truth
    assert simulator.requests["anthropic"][ANALYTICS] - before == 2
    assert len((await memory.load()).days) == 39
    assert len(memory.saved) == 2
