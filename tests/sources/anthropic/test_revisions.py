"""Closed days that Anthropic revises, against the simulator and a real ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from pnl_backend.domain.readings import CostSum
from pnl_backend.ledger.sqlite import Store
from pnl_backend.simulator import Fault
from tests.sources.anthropic.support import ANALYTICS, COST_REPORT, DAY, TODAY

SINCE = TODAY - 20 * DAY
WORKSPACE = "wrkspc_revised"


@pytest.fixture
async def store(tmp_path: Path, clock) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "pnl.db", origin="live", clock=clock)
    yield opened
    await opened.close()


def use(simulator, tokens: int, days_ago: int) -> None:
    simulator.usage.use_model(
        "claude-opus-5-5", input_tokens=0, output_tokens=tokens, days_ago=days_ago, workspace_id=WORKSPACE
    )


async def test_a_revised_day_is_corrected_the_next_day_and_kept_as_a_correction(make, simulator, store, clock):
    fetcher = make(since=SINCE, closed_days=store)
    use(simulator, 100_000, 3)
    await fetcher.fetch()
    asked = simulator.requests["anthropic"][ANALYTICS]
    use(simulator, 50_000, 3)
    assert (await fetcher.fetch()).value.total_spend < simulator.truth().anthropic.total_since(SINCE)
    assert simulator.requests["anthropic"][ANALYTICS] - asked == 2, "closed days are asked for once a day"

    clock.at += 86_400
    value = (await fetcher.fetch()).value
    assert value.total_spend == simulator.truth().anthropic.total_since(SINCE)
    day = TODAY - 3 * DAY
    (noted,) = await store.facts.corrections()
    assert noted.ref == f"{day}/claude-opus-5-5/{WORKSPACE}/-"
    assert (noted.before, noted.after, noted.at) == (Decimal(2), Decimal(3), int(clock.at * 1000))
    assert [row.amount for row in await store.facts.costs(day, day) if row.workspace_id == WORKSPACE] == [Decimal(3)]


async def test_a_row_that_is_taken_away_is_a_correction(make, simulator, store, clock):
    fetcher = make(since=SINCE, closed_days=store)
    use(simulator, 100_000, 4)
    await fetcher.fetch()
    use(simulator, -100_000, 4)
    clock.at += 86_400
    value = (await fetcher.fetch()).value
    assert value.total_spend == simulator.truth().anthropic.total_since(SINCE)
    assert CostSum("claude-opus-5-5", WORKSPACE, Decimal(2)) not in value.closed
    (noted,) = await store.facts.corrections()
    assert (noted.before, noted.after) == (Decimal(2), None)
    stored = sum(row.amount for row in await store.facts.costs(SINCE, value.today))
    assert stored == sum(part.amount for part in value.closed), "no difference remains"


@pytest.mark.parametrize(("days_ago", "seen"), [(7, True), (8, False)])
async def test_the_last_seven_closed_days_are_asked_again(make, simulator, store, clock, days_ago, seen):
    """Tomorrow the closed days end yesterday, so the oldest of the last seven is seven days ago."""
    fetcher = make(since=SINCE, closed_days=store)
    await fetcher.fetch()
    use(simulator, 100_000, days_ago)
    clock.at += 86_400
    value = (await fetcher.fetch()).value
    assert (value.total_spend == simulator.truth().anthropic.total_since(SINCE)) is seen


async def test_a_restart_has_the_time_at_which_each_day_was_confirmed(make, simulator, store, clock):
    await make(since=SINCE, closed_days=store).fetch()
    held = (await store.load()).confirmed
    assert {(one.at, one.report) for one in held.values()} == {(int(clock.at * 1000), ANALYTICS)}
    before = simulator.requests["anthropic"][ANALYTICS]
    await make(since=SINCE, closed_days=store).fetch()
    assert simulator.requests["anthropic"][ANALYTICS] - before == 2


async def test_days_of_a_ledger_that_kept_no_time_are_confirmed_at_once(make, simulator, store):
    await store.save(SINCE, TODAY - 2 * DAY, [])
    value = (await make(since=SINCE, closed_days=store).fetch()).value
    assert value.total_spend == simulator.truth().anthropic.total_since(TODAY - 8 * DAY)


async def test_the_older_report_does_not_replace_what_the_better_one_confirmed(make, simulator, store, clock):
    await make(since=SINCE, closed_days=store).fetch()
    clock.at += 86_400
    simulator.set_fault("anthropic", Fault.status(403, path=ANALYTICS))
    before = simulator.requests["anthropic"][COST_REPORT]
    value = (await make(since=SINCE, closed_days=store).fetch()).value
    assert value.estimated
    assert simulator.requests["anthropic"][COST_REPORT] - before == 2, "yesterday, and the day that closed"
    assert {one.report for one in (await store.load()).confirmed.values()} == {ANALYTICS, COST_REPORT}


async def test_a_legacy_key_gets_revisions_too(make, simulator, store, clock):
    fetcher = make("admin-legacy", SINCE, closed_days=store)
    await fetcher.fetch()
    use(simulator, 100_000, 3)
    clock.at += 86_400
    assert (await fetcher.fetch()).value.total_spend == simulator.truth().anthropic.estimate_since(SINCE)
