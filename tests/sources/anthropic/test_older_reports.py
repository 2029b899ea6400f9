"""The older reports: what a key that may not read analytics/cost gets, and days that it does not reach."""

from __future__ import annotations

from datetime import date

import pytest
from aiohttp import web

from pnl_backend.errors import (
    InvalidResponse,
)
from pnl_backend.simulator import Fault
from pnl_backend.sources.anthropic.fetcher import OPEN_DAYS_NOTE, AnthropicFetcher
from tests.sources.anthropic.support import ANALYTICS, COST_REPORT, DAY, TODAY, USAGE
from tests.sources.support import Clock

NOT_COUNTED = (
    "Days from 2025-11-01 to 2025-12-31 are not counted: analytics/cost does not reach back so far, "
    "and this key may not read cost_report."
)


async def test_a_legacy_key_gives_a_labelled_estimate(make, simulator, memory):
    since = TODAY - 40 * DAY
    fetcher = make("admin-legacy", since)
    value = (await fetcher.fetch()).value
    truth = simulator.truth().anthropic
    assert value.daily_spend == truth.daily_estimate
    assert value.total_spend == truth.estimate_since(since)
    assert value.estimated
    assert value.notes[0] == OPEN_DAYS_NOTE
    assert any("Haiku 5.5 is priced as if" in note for note in value.notes)
    assert simulator.requests["anthropic"][ANALYTICS] == 1
    await fetcher.fetch()
    assert simulator.requests["anthropic"][ANALYTICS] == 1
    assert simulator.requests["anthropic"][COST_REPORT] == 2 + 2
    assert len((await memory.load()).days) == 39


async def test_a_refused_report_is_tried_again_later(client, simulator, memory, clock):
    mono = Clock(0.0)
    key = simulator.credentials(anthropic="admin").anthropic_key
    fetcher = AnthropicFetcher(
        client,
        base_url=simulator.anthropic_url,
        api_key=key,
        since=TODAY,
        closed_days=memory,
        clock=clock,
        monotonic=mono,
    )
    simulator.set_fault("anthropic", Fault.status(404, path=ANALYTICS))
    assert (await fetcher.fetch()).value.estimated
    simulator.clear_faults()
    assert (await fetcher.fetch()).value.estimated
    mono.at += 600
    value = (await fetcher.fetch()).value
    assert (value.estimated, value.daily_spend) == (False, simulator.truth().anthropic.daily_spend)


async def test_days_before_2026_come_from_the_older_report(make, simulator, memory):
    since = date(2025, 11, 1)
    value = (await make(since=since).fetch()).value
    assert (value.notes, value.estimated) == ((), False)
    assert value.total_spend == simulator.truth().anthropic.total_since(since)
    assert simulator.requests["anthropic"][COST_REPORT] == 2
    assert min((await memory.load()).days) == since


async def test_days_before_2026_are_a_note_where_the_older_report_is_refused(make, simulator, memory):
    fetcher = make("analytics", date(2025, 11, 1))
    for _ in range(2):
        value = (await fetcher.fetch()).value
        assert (value.notes, value.estimated) == ((NOT_COUNTED,), True)
    assert simulator.requests["anthropic"][COST_REPORT] == 1
    assert min((await memory.load()).days) == date(2026, 1, 1)
    assert value.total_spend == simulator.truth().anthropic.total_since(date(2026, 1, 1))


@pytest.mark.parametrize("path", [COST_REPORT, USAGE])
async def test_faults_of_the_older_reports(make, simulator, path):
    fetcher = make("admin-legacy")
    simulator.set_fault("anthropic", Fault.wrong_type("results", path=path))
    with pytest.raises(InvalidResponse, match="results is not a list"):
        await fetcher.fetch()


async def test_a_day_that_the_older_report_lists_twice_is_refused(serve, client, memory, clock):
    day = {"starting_at": "2026-11-20T00:00:00Z", "results": []}

    async def answer(request: web.Request) -> web.Response:
        if request.path == ANALYTICS:
            return web.json_response({}, status=404)
        return web.json_response({"data": [day, day], "has_more": False})

    url = await serve(answer)
    fetcher = AnthropicFetcher(client, base_url=url, api_key="k", since=TODAY - DAY, closed_days=memory, clock=clock)
    with pytest.raises(InvalidResponse, match=r"data\[1\]\.starting_at: the day 2026-11-20 comes twice"):
        await fetcher.fetch()


async def test_models_without_a_price_are_named_in_the_reading(make, simulator):
    for model, tokens in (("claude-opus-4-1", 50_000), ("claude-fable-5-2", 1000)):
        simulator.usage.use_model(model, input_tokens=0, output_tokens=tokens, days_ago=0, workspace_id="wrkspc_1")
    value = (await make("admin-legacy", TODAY).fetch()).value
    assert value.estimated
    assert "claude-opus-4-1: 50000 tokens have no price and are not counted." in value.notes
    assert not any("fable" in note for note in value.notes)
    truth = simulator.truth().anthropic
    assert value.daily_spend == truth.daily_estimate < truth.daily_spend
