"""The Anthropic fetcher against the simulator: closed days, windows, the fallback, and every way to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from pnl_backend.domain.readings import AnthropicSpend, ClosedCosts, CostRow
from pnl_backend.errors import (
    FetchError,
    InvalidResponse,
    StoreError,
    UpstreamAuthError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from pnl_backend.simulator import Fault, Simulator
from pnl_backend.sources.anthropic.fetcher import OLDER_DAYS_NOTE, OPEN_DAYS_NOTE, AnthropicFetcher
from pnl_backend.sources.base import UpstreamClient, describe_problem
from tests.sources.support import Clock

NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)
TODAY = NOW.date()
DAY = timedelta(days=1)
ANALYTICS, COST_REPORT = "/v1/organizations/analytics/cost", "/v1/organizations/cost_report"
USAGE = "/v1/organizations/usage_report/messages"


class Memory:
    """Closed days in a list of what was saved; it fails on command."""

    def __init__(self) -> None:
        self.saved: list[tuple[date, date, tuple[CostRow, ...]]] = []
        self.failing = False
        self.any_saved = asyncio.Event()
        self.on_save: Callable[[], None] | None = None

    async def load(self) -> ClosedCosts:
        if self.failing:
            raise StoreError("the database is locked")
        days = {first + n * DAY for first, last, _ in self.saved for n in range((last - first).days + 1)}
        return ClosedCosts(frozenset(days), tuple(row for _, _, rows in self.saved for row in rows))

    async def save(self, day_from: date, day_to: date, rows: Sequence[CostRow]) -> None:
        if self.failing:
            raise StoreError("the database is locked")
        self.saved.append((day_from, day_to, tuple(rows)))
        self.any_saved.set()
        if self.on_save is not None:
            self.on_save()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW.timestamp())


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
async def simulator(clock: Clock):
    async with Simulator(step_interval=None, clock=clock) as running:
        yield running


@pytest.fixture
def make(client: UpstreamClient, simulator: Simulator, memory: Memory, clock: Clock):
    def fetcher(kind: str = "admin", since: date = TODAY - 40 * DAY, **options: Any) -> AnthropicFetcher:
        given = {
            "base_url": simulator.anthropic_url,
            "api_key": simulator.credentials(anthropic=kind).anthropic_key,
            "closed_days": memory,
            "clock": clock,
            **options,
        }
        return AnthropicFetcher(client, since=since, **given)

    return fetcher


@pytest.fixture
async def fetch(serve, client: UpstreamClient, clock: Clock, memory: Memory):
    """Fetch from a server that answers analytics/cost with these pages, the last again and again."""

    async def run(*pages: Any, since: date = TODAY) -> AnthropicSpend:
        held = list(pages)

        async def answer(_: web.Request) -> web.Response:
            return web.json_response(held.pop(0) if len(held) > 1 else held[0])

        url = await serve(answer)
        fetcher = AnthropicFetcher(
            client, base_url=url, api_key="sk-ant-admin01-x", since=since, closed_days=memory, clock=clock
        )
        return (await fetcher.fetch()).value

    return run


def row(amount: Any = "123.45", **changes: Any) -> dict[str, Any]:
    return {
        "starting_at": "2026-11-21T03:00:00Z",
        "ending_at": "2026-11-21T04:00:00Z",
        "group": {"model": "claude-opus-5-5", "workspace_id": "wrkspc_01"},
        "cost": {"amount": amount, "list_amount": "999", "currency": "USD", "requests": 3},
        **changes,
    }


def page(*rows: Any, **changes: Any) -> dict[str, Any]:
    return {
        "data": list(rows),
        "has_more": False,
        "next_page": None,
        "data_refreshed_at": "2026-11-21T15:20:00Z",
        **changes,
    }


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


async def test_a_new_process_starts_from_the_remembered_days(make, simulator, memory):
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
    assert [first for first, _, _ in memory.saved] == [since, TODAY - DAY, TODAY, TODAY + DAY]


async def test_a_clock_that_goes_back_counts_no_day_twice(make, simulator, clock):
    since = TODAY - 9 * DAY
    fetcher = make(since=since)
    await fetcher.fetch()
    clock.at -= 3 * 86_400
    value = (await fetcher.fetch()).value
    assert len({(r.day, r.model, r.workspace_id) for r in value.rows}) == len(value.rows)
    assert max(r.day for r in value.rows) == TODAY - 3 * DAY


async def test_the_first_day_asks_for_today_alone(make, simulator):
    value = (await make(since=TODAY).fetch()).value
    assert value.total_spend == value.daily_spend == simulator.truth().anthropic.daily_spend
    assert simulator.requests["anthropic"][ANALYTICS] == 1


async def test_rows_carry_model_and_workspace_and_the_key_if_wanted(make, simulator):
    plain = (await make(since=TODAY - 10 * DAY).fetch()).value
    assert {r.api_key_id for r in plain.rows} == {None}
    assert len({r.workspace_id for r in plain.rows}) > 1
    assert any(r.model is None for r in plain.rows)
    keyed = (await make(since=TODAY - DAY, by_api_key=True).fetch()).value
    assert None not in {r.api_key_id for r in keyed.rows}
    assert keyed.total_spend == simulator.truth().anthropic.total_since(TODAY - DAY)


@pytest.mark.parametrize("kind", ["analytics", "admin"])
async def test_every_page_is_read(serve, client, memory, clock, kind):
    rows = [
        row("1.5", starting_at=f"2026-11-21T{n % 24:02}:00:00Z", group={"model": f"m-{n}", "workspace_id": None})
        for n in range(2500)
    ]
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query)
        start = int(request.query.get("page", 0))
        more = start + 1000 < len(rows)
        return web.json_response(
            page(*rows[start : start + 1000], has_more=more, next_page=str(start + 1000) if more else None)
        )

    url = await serve(answer)
    fetcher = AnthropicFetcher(
        client, base_url=url, api_key="sk-ant-admin01-x", since=TODAY, closed_days=memory, clock=clock
    )
    value = (await fetcher.fetch()).value
    assert value.total_spend == Decimal("37.5")
    assert [query["limit"] for query in asked] == ["1000"] * 3
    assert asked[0].getall("group_by[]") == ["model", "workspace_id"]
    assert (asked[0]["starting_at"], asked[0]["ending_at"]) == ("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z")
    assert asked[0]["time_bucket_width"] == "1h"


async def test_amounts_are_cents_and_as_of_is_when_the_data_was_refreshed(serve, client, memory, clock):
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert request.headers["anthropic-beta"] == "analytics-usage-cost-2026-08-24"
        return web.json_response(page(row("123.456789")))

    url = await serve(answer)
    fetcher = AnthropicFetcher(
        client, base_url=url, api_key="sk-ant-admin01-x", since=TODAY, closed_days=memory, clock=clock
    )
    fetched = await fetcher.fetch()
    assert fetched.value.rows == (CostRow(TODAY, "claude-opus-5-5", "wrkspc_01", Decimal("1.23456789")),)
    assert fetched.as_of == int(datetime(2026, 11, 21, 15, 20, tzinfo=UTC).timestamp() * 1000)


async def test_as_of_is_never_in_the_future(fetch, serve, client, memory, clock):
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(page(data_refreshed_at="2027-01-01T00:00:00Z"))

    url = await serve(answer)
    fetcher = AnthropicFetcher(
        client, base_url=url, api_key="sk-ant-admin01-x", since=TODAY, closed_days=memory, clock=clock
    )
    assert (await fetcher.fetch()).as_of == int(clock.at * 1000)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (page(row(1.23)), r"data\[0\]\.cost\.amount is not a decimal string"),
        (page(row("NaN")), "amount is not a decimal"),
        (page(row("Infinity")), "amount is not a decimal"),
        (page(row(None)), "amount is missing"),
        (page(row("1e13")), "amount is absurdly large"),
        (page(row(cost={"amount": "1", "currency": "EUR"})), "currency is not USD: 'EUR'"),
        (page(row(cost={"amount": "1"})), "currency is missing"),
        (page(row(cost=7)), "cost is not a JSON object"),
        (page(row(group=None)), "group is missing"),
        (page(row(group={"model": 7})), "model is not a string"),
        (page(row(starting_at=None)), "starting_at is missing"),
        (page(row(starting_at="today")), "starting_at is not an ISO 8601 time"),
        (page(row(starting_at="2026-11-22T00:00:00Z")), "starting_at lies outside"),
        (page(row(starting_at="2026-11-20T23:00:00Z")), "starting_at lies outside"),
        (page(row(), row()), "come twice"),
        (page(7), r"data\[0\] is not a JSON object"),
        ({"has_more": False}, "data is missing"),
        (page(has_more=None), "has_more is missing"),
        (page(has_more="no"), "has_more is not a boolean"),
        (page(has_more=True), "next_page is missing"),
        (page(has_more=True, next_page="again"), "next_page 'again' came twice"),
        (page(data_refreshed_at=5), "data_refreshed_at is not a string"),
        ([], "cost is not a JSON object but a list"),
    ],
)
async def test_a_bad_answer_is_refused_and_names_the_field(fetch, answer, said):
    with pytest.raises(InvalidResponse, match=said):
        await fetch(answer)


async def test_pages_without_end_are_capped(serve, client, memory, clock):
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response(page(has_more=True, next_page=f"p{asked}"))

    url = await serve(answer)
    fetcher = AnthropicFetcher(client, base_url=url, api_key="k", since=TODAY, closed_days=memory, clock=clock)
    with pytest.raises(InvalidResponse, match="still more after 200 pages"):
        await fetcher.fetch()
    assert asked == 200


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
        assert (value.notes, value.estimated) == ((OLDER_DAYS_NOTE,), True)
    assert simulator.requests["anthropic"][COST_REPORT] == 1
    assert min((await memory.load()).days) == date(2026, 1, 1)


async def test_a_plain_api_key_is_told_that_it_is_one(make):
    with pytest.raises(UpstreamAuthError, match="401") as caught:
        await make("plain").fetch()
    said = describe_problem(caught.value)
    assert "ANTHROPIC_API_KEY is an API key (sk-ant-api...)" in said
    assert "Admin key (sk-ant-admin...)" in said


@pytest.mark.parametrize("status", [403, 404])
async def test_a_key_that_may_read_neither_report_is_an_error_with_a_hint(make, simulator, status):
    fetcher = make()
    simulator.set_fault("anthropic", Fault.status(status))
    for _ in range(2):
        with pytest.raises(UpstreamAuthError, match=str(status)) as caught:
            await fetcher.fetch()
        assert "Admin key" in describe_problem(caught.value)
    simulator.clear_faults()
    assert not (await fetcher.fetch()).value.estimated


async def test_no_error_holds_the_key(make, simulator):
    fetcher = make("plain")
    with pytest.raises(UpstreamAuthError) as caught:
        await fetcher.fetch()
    key = simulator.credentials(anthropic="plain").anthropic_key
    assert key not in describe_problem(caught.value)
    assert key not in repr(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Fault.status(500), FetchError, "api_error"),
        (Fault.status(529), UpstreamRateLimited, "overloaded_error"),
        (Fault.rate_limit(7), UpstreamRateLimited, "rate_limit_error"),
        (Fault.garbage(), InvalidResponse, "not text"),
        (Fault.html(), InvalidResponse, "web page"),
        (Fault.redirect(), InvalidResponse, "redirect"),
        (Fault.nan(), InvalidResponse, "amount"),
        (Fault.infinity(), InvalidResponse, "amount"),
        (Fault.missing_field("cost"), InvalidResponse, "cost is missing"),
        (Fault.wrong_type("amount"), InvalidResponse, "amount is not a decimal string"),
        (Fault.too_big(gzip=True), InvalidResponse, "more than 8 MB"),
        (Fault.close(), FetchError, "cannot be reached"),
    ],
)
async def test_a_fault_is_a_failed_fetch_and_nothing_wrong_is_remembered(make, simulator, memory, fault, kind, said):
    fetcher = make()
    simulator.set_fault("anthropic", fault)
    with pytest.raises(kind, match=said) as caught:
        await fetcher.fetch()
    assert memory.saved == []
    if fault.kind == "rate_limit":
        assert caught.value.retry_after == 7
    simulator.clear_faults()
    value = (await fetcher.fetch()).value
    assert value.total_spend == simulator.truth().anthropic.total_since(TODAY - 40 * DAY)


@pytest.mark.parametrize("path", [COST_REPORT, USAGE])
async def test_faults_of_the_older_reports(make, simulator, path):
    fetcher = make("admin-legacy")
    simulator.set_fault("anthropic", Fault.wrong_type("results", path=path))
    with pytest.raises(InvalidResponse, match="results is not a list"):
        await fetcher.fetch()


async def test_a_day_that_the_older_report_tells_twice_is_refused(serve, client, memory, clock):
    day = {"starting_at": "2026-11-20T00:00:00Z", "results": []}

    async def answer(request: web.Request) -> web.Response:
        if request.path == ANALYTICS:
            return web.json_response({}, status=404)
        return web.json_response({"data": [day, day], "has_more": False})

    url = await serve(answer)
    fetcher = AnthropicFetcher(client, base_url=url, api_key="k", since=TODAY - DAY, closed_days=memory, clock=clock)
    with pytest.raises(InvalidResponse, match=r"data\[1\]\.starting_at: the day 2026-11-20 comes twice"):
        await fetcher.fetch()


async def test_a_hanging_upstream_ends_at_the_deadline(session, simulator, memory, clock):
    fetcher = AnthropicFetcher(
        UpstreamClient(session, timeout=0.2),
        base_url=simulator.anthropic_url,
        api_key="k",
        since=TODAY,
        closed_days=memory,
        clock=clock,
    )
    simulator.set_fault("anthropic", Fault.hang())
    with pytest.raises(UpstreamTimeout, match="Anthropic did not answer"):
        await fetcher.fetch()


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
