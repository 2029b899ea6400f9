"""John's endpoint in every shape it may take, and in some that it may not."""

from __future__ import annotations

from decimal import Decimal
from json import dumps
from typing import Any

import pytest
from aiohttp import web

from pnl_backend.domain.readings import Deal, Revenue
from pnl_backend.errors import FetchError, InvalidResponse, UpstreamAuthError, UpstreamTimeout
from pnl_backend.simulator import Fault, Simulator
from pnl_backend.sources.base import UpstreamClient, describe_problem
from pnl_backend.sources.revenue.fetcher import RevenueFetcher

DEAL = {"id": "d-1", "name": "Acme", "closed_date": "2026-02-20", "amount": 1200.5, "status": "recognized"}


@pytest.fixture
async def fetch(serve, client: UpstreamClient):
    """Fetch from a server that answers with this JSON text."""

    async def run(text: str) -> Revenue:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=text, content_type="application/json")

        url = await serve(answer)
        return (await RevenueFetcher(client, url=f"{url}/api/revenue").fetch()).value

    return run


@pytest.fixture
def deal(fetch):
    async def run(**changes: Any) -> Revenue:
        return await fetch(dumps({"deals": [{**DEAL, **changes}]}))

    return run


@pytest.mark.parametrize("shape", ["deals", "list", "totals", "strings"])
async def test_each_shape_reads_the_truth(client: UpstreamClient, shape):
    async with Simulator(step_interval=None, revenue_shape=shape) as simulator:
        token = simulator.credentials().revenue_token
        fetcher = RevenueFetcher(client, url=simulator.revenue_url, token=token, clock=lambda: 1_772_058_240.5)
        simulator.step(500)
        fetched, truth = await fetcher.fetch(), simulator.truth().johns
    assert (fetched.value.invoiced, fetched.value.collected) == (truth.invoiced, truth.collected)
    assert fetched.value.pipeline == (truth.pipeline if shape in {"deals", "list"} else 0)
    assert fetched.as_of == 1_772_058_240_500


async def test_deals_are_summed_by_status_and_kept(fetch):
    value = await fetch(
        '{"deals": [{"id":"a","name":"A","closed_date":"2026-02-20","amount":0.1,"status":"recognized"},'
        '{"id":"b","name":"B","closed_date":"2026-02-20T01:30:00+02:00","amount":"0.20","status":"pending"},'
        '{"id":"c","amount":40,"status":"pipeline"}]}'
    )
    assert (value.invoiced, value.collected, value.pipeline) == (Decimal("0.3"), Decimal("0.1"), Decimal(40))
    assert value.deals == (
        Deal("a", "A", Decimal("0.1"), "recognized", 1_771_545_600_000),
        Deal("b", "B", Decimal("0.20"), "pending", 1_771_543_800_000),
        Deal("c", "", Decimal(40), "pipeline", None),
    )


async def test_totals_as_numbers_and_strings_are_exact(fetch):
    assert await fetch('{"invoiced": 5000.10, "collected": "3500.000001"}') == Revenue(
        Decimal("5000.10"), Decimal("3500.000001")
    )


async def test_binary_noise_is_rounded_away(fetch):
    assert (await fetch('{"invoiced": 0.30000000000000004, "collected": 0}')).invoiced == Decimal("0.3")


async def test_no_deals_is_no_revenue(fetch):
    assert await fetch("[]") == Revenue(Decimal(0), Decimal(0), lists_deals=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"collected": 1}', "invoiced is missing"),
        ('{"invoiced": 1}', "collected is missing"),
        ('{"invoiced": null, "collected": 1}', "invoiced is missing"),
        ('{"invoiced": -1, "collected": 1}', "invoiced is negative"),
        ('{"invoiced": NaN, "collected": 1}', "NaN"),
        ('{"invoiced": 1, "collected": Infinity}', "Infinity"),
        ('{"invoiced": "NaN", "collected": 1}', "invoiced is not a decimal"),
        ('{"invoiced": 1, "collected": "Infinity"}', "collected is not a decimal"),
        ('{"invoiced": 1000000000001, "collected": 1}', "invoiced is absurdly large"),
        ('{"invoiced": 1e999999, "collected": 1}', "invoiced is absurdly large"),
        ('{"invoiced": true, "collected": 1}', "invoiced is not a number but a boolean"),
        ('{"invoiced": [1], "collected": 1}', "invoiced is not a number but a list"),
        ('{"invoiced": "", "collected": 1}', "invoiced is not a decimal"),
        ("7", "neither totals nor a list"),
        ('{"deals": 7}', "deals is not a list"),
        ("[7]", r"deals\[0\] is not a JSON object"),
    ],
)
async def test_a_bad_answer_is_refused_as_a_whole_and_names_the_field(fetch, text, said):
    with pytest.raises(InvalidResponse, match=said):
        await fetch(text)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount": None}, r"deals\[0\]\.amount is missing"),
        ({"amount": -0.01}, "amount is negative"),
        ({"amount": "12,00"}, "amount is not a decimal"),
        ({"status": "won"}, "status is none of recognized, pending, pipeline: 'won'"),
        ({"status": None}, "status is missing"),
        ({"id": None}, "id is missing"),
        ({"id": 3}, "id is not a string"),
        ({"name": {}}, "name is not a string"),
        ({"closed_date": "20.02.2026"}, "closed_date is not a date"),
        ({"closed_date": "2026-02-30"}, "closed_date is not a date"),
        ({"closed_date": "2026-02-20T10:00:00"}, "closed_date has no UTC offset"),
        ({"closed_date": "yesterday evening"}, "closed_date is not an ISO 8601 time"),
        ({"closed_date": 20260220}, "closed_date is not a string"),
    ],
)
async def test_a_bad_deal_is_refused(deal, changes, said):
    with pytest.raises(InvalidResponse, match=said):
        await deal(**changes)


async def test_a_deal_that_comes_twice_is_not_counted_twice(fetch):
    with pytest.raises(InvalidResponse, match=r"deals\[1\]\.id comes twice: 'd'"):
        await fetch('[{"id":"d","amount":1,"status":"pending"},{"id":"d","amount":1,"status":"recognized"}]')


async def test_a_wrong_token_is_reported_with_its_setting(client: UpstreamClient, simulator: Simulator):
    simulator.credentials()
    with pytest.raises(UpstreamAuthError, match="401") as caught:
        await RevenueFetcher(client, url=simulator.revenue_url, token="wrong").fetch()
    assert "JOHNS_REVENUE_TOKEN" in describe_problem(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Fault.status(500), FetchError, "500"),
        (Fault.nan(), InvalidResponse, "NaN"),
        (Fault.infinity("amount"), InvalidResponse, "Infinity"),
        (Fault.missing_field("amount"), InvalidResponse, "amount is missing"),
        (Fault.wrong_type("status"), InvalidResponse, "status is not a string"),
        (Fault.redirect(), InvalidResponse, "redirect"),
        (Fault.html(), InvalidResponse, "web page"),
        (Fault.too_big(gzip=True), InvalidResponse, "more than 8 MB"),
        (Fault.close(), FetchError, "cannot be reached"),
    ],
)
async def test_a_fault_is_a_failed_fetch(client: UpstreamClient, simulator: Simulator, fault, kind, said):
    simulator.set_fault("johns", fault)
    with pytest.raises(kind, match=said):
        await RevenueFetcher(client, url=simulator.revenue_url).fetch()


async def test_a_hanging_endpoint_ends_at_the_deadline(session, simulator: Simulator):
    simulator.set_fault("johns", Fault.hang())
    with pytest.raises(UpstreamTimeout, match="John's revenue endpoint did not answer"):
        await RevenueFetcher(UpstreamClient(session, timeout=0.2), url=simulator.revenue_url).fetch()
