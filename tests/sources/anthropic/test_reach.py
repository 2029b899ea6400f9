"""How far back analytics/cost may be read, and how the days before are counted."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from pnl_backend.domain.accounts import Evidence
from pnl_backend.domain.readings import Confirmed, CostRow
from pnl_backend.simulator import Simulator
from pnl_backend.sources.anthropic.api import ReportPages
from pnl_backend.sources.anthropic.fetcher import AnthropicFetcher
from pnl_backend.sources.anthropic.identity import KnownCosts
from tests.sources.anthropic.support import ANALYTICS, COST_REPORT, DAY, Memory
from tests.sources.support import Clock

SINCE = date(2026, 1, 1)
EDGES = [
    datetime(2027, 1, 2, 0, 0, 1, tzinfo=UTC),
    datetime(2027, 1, 1, 23, 59, 59, tzinfo=UTC),
    datetime(2027, 6, 30, 0, 20, tzinfo=UTC),
    datetime(2027, 6, 30, 23, 40, tzinfo=UTC),
]


def use(simulator: Simulator, days_ago: int) -> None:
    simulator.usage.use_model(
        "claude-opus-5-5", input_tokens=0, output_tokens=100_000, days_ago=days_ago, workspace_id="wrkspc_01Default"
    )


async def fetched(client, memory: Memory, at: datetime, *, skew: float = 0.0, kind: str = "admin"):
    """What a fetcher gives at `at` by its own clock, from a simulator whose clock is `skew` seconds ahead."""
    theirs = Clock(at.timestamp() + skew)
    async with Simulator(step_interval=None, clock=theirs) as simulator:
        for days_ago in (0, 1, 200, *range(360, 370), 500):
            use(simulator, days_ago)
        fetcher = AnthropicFetcher(
            client,
            base_url=simulator.anthropic_url,
            api_key=simulator.credentials(anthropic=kind).anthropic_key,
            since=SINCE,
            closed_days=memory,
            clock=Clock(at.timestamp()),
        )
        value = (await fetcher.fetch()).value
        return value, simulator.truth().anthropic, simulator.requests["anthropic"]


@pytest.mark.parametrize("skew", [0, 3600, -3600])
@pytest.mark.parametrize("at", EDGES)
async def test_it_is_never_asked_further_back_than_a_year(client, memory, at, skew):
    value, truth, requests = await fetched(client, memory, at, skew=skew)
    known = {day: usd for day, usd in truth.by_day.items() if SINCE <= day <= value.today}
    assert value.total_spend == sum(known.values())
    assert (value.estimated, value.notes, value.importing) == (False, (), None)
    assert requests[COST_REPORT] > 0, "what analytics/cost does not reach"


async def test_days_beyond_its_reach_come_from_the_ledger(client, memory):
    at = datetime(2027, 6, 30, 12, tzinfo=UTC)
    old = CostRow(date(2026, 3, 1), "claude-opus-5-5", "ws", 7)
    await memory.save(SINCE, at.date() - 300 * DAY, [old], Confirmed(1, ANALYTICS))
    value, truth, requests = await fetched(client, memory, at, kind="analytics")
    assert value.total_spend == truth.total_since(at.date() - 299 * DAY) + 7
    assert (value.estimated, value.notes) == (False, ())
    assert requests[COST_REPORT] == 0


async def test_days_that_nothing_has_are_named_and_the_figure_is_marked(client, memory):
    at = datetime(2027, 6, 30, 12, tzinfo=UTC)
    value, truth, _ = await fetched(client, memory, at, kind="analytics")
    first = at.date() - 363 * DAY
    (note,) = value.notes
    assert note.startswith(f"Days from 2026-01-01 to {first - DAY} are not counted: analytics/cost does not reach")
    assert (value.estimated, value.importing) == (True, None)
    assert value.total_spend == truth.total_since(first)
    assert min((await memory.load()).days) == first


async def test_an_organisation_is_recognised_by_days_beyond_the_reach(client):
    at = datetime(2027, 6, 30, 12, tzinfo=UTC).timestamp()
    async with Simulator(step_interval=None, clock=lambda: at) as simulator:
        for days_ago in (400, 405):
            use(simulator, days_ago)
        known = simulator.truth().anthropic.by_day
        old = [day for day in known if day < date(2026, 6, 30)]
        key = simulator.credentials().anthropic_key
        pages = ReportPages(client, base_url=simulator.anthropic_url, api_key=key)
        evidence = Evidence(costs={day: known[day] for day in old})
        found = await KnownCosts(pages, lambda: at).recognise(evidence)
        assert simulator.requests["anthropic"][ANALYTICS] == 0
    assert len(found) == len(old) == 2
