"""The Anthropic fetcher against the simulator: rows, pages, cents, keys, and every way to fail."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from aiohttp import web

from pnl_backend.domain.readings import CostRow
from pnl_backend.errors import (
    FetchError,
    InvalidResponse,
    UpstreamAuthError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from pnl_backend.simulator import Fault
from pnl_backend.sources.anthropic.fetcher import AnthropicFetcher
from pnl_backend.sources.base import UpstreamClient, describe_problem
from tests.sources.anthropic.support import DAY, TODAY, page, row
from tests.sources.support import Cache
from tests.support.snapshots import guarded


async def test_rows_have_model_and_workspace_and_the_key_if_requested(make, simulator):
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


@pytest.mark.parametrize("pages", [201, 450])
async def test_no_number_of_pages_is_too_large(serve, client, memory, clock, pages):
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        one = row("100", group={"model": f"m-{asked}", "workspace_id": None})
        return web.json_response(page(one, has_more=asked < pages, next_page=f"p{asked}"))

    url = await serve(answer)
    fetcher = AnthropicFetcher(client, base_url=url, api_key="k", since=TODAY, closed_days=memory, clock=clock)
    assert (await fetcher.fetch()).value.total_spend == pages


async def test_pages_without_end_end_at_the_caller_s_deadline(serve, client, memory, clock):
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response(page(has_more=True, next_page=f"p{asked}"))

    url = await serve(answer)
    fetcher = AnthropicFetcher(client, base_url=url, api_key="k", since=TODAY, closed_days=memory, clock=clock)
    guard = guarded("anthropic", fetcher, Cache(), poll_interval=15, timeout=0.5)
    reading = await guard.read()
    await guard.close()
    assert reading.value is None
    assert "took longer than 0.5 s" in str(reading.error)
    assert asked > 1


async def test_a_plain_api_key_is_named_as_one_in_the_error(make):
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
async def test_a_fault_is_a_failed_fetch_and_no_wrong_value_is_stored(make, simulator, memory, fault, kind, said):
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
