"""Refusals and faults of the upstream: the text of the error, and that the next fetch is right."""

from __future__ import annotations

import pytest
from aiohttp import web

from pnl_backend.errors import FetchError, InvalidResponse, UpstreamAuthError, UpstreamRateLimited, UpstreamTimeout
from pnl_backend.simulator import Fault, Simulator
from pnl_backend.sources.base import UpstreamClient, describe_problem
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer
from tests.sources.kalshi.answers import fetcher_of


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, {"msg": "database is down"}, "Kalshi answered 500: database is down"),
        (503, {"code": "service_unavailable", "message": "busy", "details": "later"}, "service_unavailable.*busy"),
        (400, {"error": {"code": "bad_request", "message": "limit\nis wrong"}}, "bad_request: limit is wrong"),
        (502, ["?"], "Kalshi answered 502"),
        (500, {"error": 7}, "Kalshi answered 500"),
    ],
)
async def test_the_three_error_shapes(serve, client: UpstreamClient, status, body, said):
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    url = await serve(answer)
    with pytest.raises(FetchError, match=said):
        await fetcher_of(client, f"{url}/trade-api/v2", Simulator().credentials()).fetch()


async def test_a_rate_limit_has_no_retry_after_unless_configured(fetcher: KalshiFetcher, simulator: Simulator):
    simulator.set_fault("kalshi", Fault.rate_limit())
    with pytest.raises(UpstreamRateLimited, match="too many requests") as caught:
        await fetcher.fetch()
    assert caught.value.retry_after is None
    simulator.set_fault("kalshi", Fault.rate_limit(9))
    with pytest.raises(UpstreamRateLimited) as caught:
        await fetcher.fetch()
    assert caught.value.retry_after == 9


@pytest.mark.parametrize(("seconds", "said"), [(90, "90 s behind"), (-90, "90 s ahead of"), (31, "31 s behind")])
async def test_clock_skew_is_named_with_its_size(fetcher: KalshiFetcher, simulator: Simulator, seconds, said):
    simulator.set_fault("kalshi", Fault.skew(seconds))
    with pytest.raises(UpstreamAuthError, match="clock skew") as caught:
        await fetcher.fetch()
    measured = int(str(caught.value).split("it is ")[1].split(" ")[0])
    assert abs(measured - abs(seconds)) <= 2
    assert said.split(" ", 2)[2] in str(caught.value)
    assert "NTP" in describe_problem(caught.value)


async def test_a_refusal_without_a_reason_is_compared_with_the_clock_skew(serve, client: UpstreamClient):
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"msg": "unauthorized"}, status=401, headers={"Date": "Wed, 25 Feb 2026 03:00:00 GMT"})

    url, keys = await serve(answer), Simulator().credentials()
    for ours, said in ((1_771_988_400.0, "Kalshi answered 401: unauthorized"), (1_771_988_300.0, "100 s behind")):
        fetcher = fetcher_of(client, f"{url}/trade-api/v2", keys, clock=lambda at=ours: at)
        with pytest.raises(UpstreamAuthError, match=said):
            await fetcher.fetch()


async def test_an_unknown_key_is_distinguished_from_a_wrong_signature(client: UpstreamClient, simulator: Simulator):
    keys, other = simulator.credentials(), Simulator().credentials()
    unknown = fetcher_of(client, simulator.kalshi_url, other)
    with pytest.raises(UpstreamAuthError, match="has no key with this id") as caught:
        await unknown.fetch()
    assert "demo and production" in describe_problem(caught.value)

    signer = Signer.from_pem(keys.kalshi_key_id, other.kalshi_private_key_pem)
    with pytest.raises(UpstreamAuthError, match="refused the signature") as caught:
        await KalshiFetcher(client, base_url=simulator.kalshi_url, signer=signer).fetch()
    assert "KALSHI_PRIVATE_KEY_PATH" in describe_problem(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Fault.status(500), FetchError, "500"),
        (Fault.garbage(), InvalidResponse, "not text"),
        (Fault.truncated(), InvalidResponse, "not JSON"),
        (Fault.html(), InvalidResponse, "web page"),
        (Fault.html(502), FetchError, "502"),
        (Fault.redirect(), InvalidResponse, "redirect"),
        (Fault.nan(), InvalidResponse, "NaN|not a decimal"),
        (Fault.infinity(), InvalidResponse, "Infinity|not a decimal"),
        (Fault.wrong_type("market_exposure_dollars"), InvalidResponse, "market_exposure_dollars"),
        (Fault.wrong_type("cursor"), InvalidResponse, "cursor"),
        (Fault.missing_field("market_positions"), InvalidResponse, "market_positions is missing"),
        (Fault.too_big(), InvalidResponse, "more than 8 MB"),
        (Fault.too_big(gzip=True), InvalidResponse, "more than 8 MB"),
        (Fault.close(), FetchError, "cannot be reached"),
        (Fault.cut(), FetchError, "cannot be reached"),
    ],
)
async def test_a_fault_is_a_failed_fetch_and_the_next_one_is_right(
    fetcher: KalshiFetcher, simulator: Simulator, fault, kind, said
):
    simulator.set_fault("kalshi", fault)
    with pytest.raises(kind, match=said):
        await fetcher.fetch()
    simulator.clear_faults()
    assert (await fetcher.fetch()).value.balance == simulator.truth().kalshi.balance


@pytest.mark.parametrize("fault", [Fault.hang(), Fault.drip(0.1)])
async def test_a_slow_upstream_ends_at_the_deadline(session, simulator: Simulator, fault):
    fetcher = fetcher_of(UpstreamClient(session, timeout=0.3), simulator.kalshi_url, simulator.credentials())
    simulator.set_fault("kalshi", fault)
    with pytest.raises(UpstreamTimeout, match="Kalshi did not answer within"):
        await fetcher.fetch()


async def test_no_key_is_in_an_error_that_quotes_the_upstream(serve, client: UpstreamClient):
    keys = Simulator().credentials()

    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"msg": f"no such key: {request.headers['KALSHI-ACCESS-KEY']}"}, status=500)

    url = await serve(echo)
    with pytest.raises(FetchError) as caught:
        await fetcher_of(client, f"{url}/trade-api/v2", keys).fetch()
    assert "no such key: ***" in str(caught.value)
    assert keys.kalshi_key_id not in repr(caught.value)
