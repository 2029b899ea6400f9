"""The Kalshi fetcher against the simulator, and against answers that no simulator would send."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from pnl_backend.domain.readings import KalshiPortfolio
from pnl_backend.errors import FetchError, InvalidResponse, UpstreamAuthError, UpstreamRateLimited, UpstreamTimeout
from pnl_backend.simulator import Book, Credentials, Fault, Simulator
from pnl_backend.sources.base import UpstreamClient, describe_problem
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer

MARKET = {
    "ticker": "M-1",
    "status": "active",
    "result": "",
    "yes_bid_dollars": "0.4000",
    "yes_ask_dollars": "0.4200",
    "no_bid_dollars": "0.5800",
    "no_ask_dollars": "0.6000",
    "last_price_dollars": "0.4100",
}
POSITION = {
    "ticker": "M-1",
    "position_fp": "10.00",
    "market_exposure_dollars": "3.0000",
    "realized_pnl_dollars": "1.2500",
    "fees_paid_dollars": "0.0700",
}
BALANCE = {"balance": 71006, "balance_dollars": "710.0600", "portfolio_value": 400}


def nothing_else(path: str) -> web.Response:
    """What an account without settled markets answers beside its balance, positions and markets."""
    if path.endswith("user_data_timestamp"):
        return web.json_response({"msg": "not found"}, status=404)
    return web.json_response({"settlements" if path.endswith("settlements") else "market_positions": [], "cursor": ""})


def fetcher_of(client: UpstreamClient, url: str, keys: Credentials, **options: Any) -> KalshiFetcher:
    signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem, **options)
    return KalshiFetcher(client, base_url=url, signer=signer)


@pytest.fixture
def fetcher(client: UpstreamClient, simulator: Simulator) -> KalshiFetcher:
    return fetcher_of(client, simulator.kalshi_url, simulator.credentials())


@pytest.fixture
async def fetch(serve, client: UpstreamClient):
    """Fetch from a server that answers each path with the given JSON, the last of a list again and again."""
    keys = Simulator().credentials()

    async def run(
        *,
        balance: Any = BALANCE,
        positions: Any = (POSITION,),
        markets: Any = (MARKET,),
        pages: list[Any] | None = None,
    ) -> KalshiPortfolio:
        position_pages = pages or [{"market_positions": list(positions), "cursor": ""}]
        answers = {
            "/portfolio/balance": [balance],
            "/portfolio/positions": position_pages,
            "/markets": [{"markets": list(markets), "cursor": ""}],
        }

        async def answer(request: web.Request) -> web.Response:
            path = request.path.removeprefix("/trade-api/v2")
            if path not in answers or request.query.get("settlement_status") == "settled":
                return nothing_else(path)
            held = answers[path]
            return web.json_response(held.pop(0) if len(held) > 1 else held[0])

        url = await serve(answer)
        fetched = await fetcher_of(client, f"{url}/trade-api/v2", keys).fetch()
        return fetched.value

    return run


@pytest.mark.parametrize("generation", ["strings", "both", "cents"])
async def test_the_recorded_account(client: UpstreamClient, recorded: Book, generation):
    async with Simulator(recorded, step_interval=None, generation=generation) as simulator:
        value = (await fetcher_of(client, simulator.kalshi_url, simulator.credentials()).fetch()).value
        truth = simulator.truth().kalshi
    assert value.balance == Decimal("710.06")
    assert len(value.positions) == 41
    assert sum(p.is_open for p in value.positions) == 18
    assert sum(p.realized_pnl for p in value.positions) == Decimal("403.15")
    assert sum(p.fees for p in value.positions) == Decimal("26.73")
    assert sum(p.unrealized_pnl for p in value.positions) == truth.unrealized_pnl
    assert value.portfolio_value == truth.portfolio_value


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_both_kinds_of_key_read_the_truth_of_a_moving_book(client: UpstreamClient, simulator: Simulator, kind):
    fetcher = fetcher_of(client, simulator.kalshi_url, simulator.credentials(kalshi=kind))
    for _ in range(3):
        simulator.step(40)
        value, truth = (await fetcher.fetch()).value, simulator.truth().kalshi
        assert value.balance == truth.balance
        assert sum(p.is_open for p in value.positions) == truth.positions
        assert value.realized_pnl == truth.realized_pnl
        assert sum(p.unrealized_pnl for p in value.positions) == truth.unrealized_pnl
        assert value.fees == truth.fees
        assert {p.ticker: p.mark_source for p in value.positions if p.is_open} == truth.marks


async def test_the_reading_is_of_the_time_up_to_which_kalshi_s_data_is_complete(
    fetcher: KalshiFetcher, simulator: Simulator
):
    first = await fetcher.fetch()
    simulator.kalshi.hold_rest()
    held = await fetcher.fetch()
    again = await fetcher.fetch()
    assert first.as_of < held.as_of == again.as_of
    simulator.kalshi.release_rest()
    assert (await fetcher.fetch()).as_of > held.as_of


async def test_the_reading_is_never_later_than_its_request(client: UpstreamClient, simulator: Simulator):
    keys = simulator.credentials()
    signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem)
    fetcher = KalshiFetcher(client, base_url=simulator.kalshi_url, signer=signer, clock=lambda: 1_772_058_240.5)
    assert (await fetcher.fetch()).as_of == 1_772_058_240_500


async def test_without_kalshi_s_time_of_completeness_the_request_s_time_counts(client: UpstreamClient, serve):
    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("balance"):
            return web.json_response(BALANCE)
        return nothing_else(request.path)

    url, keys = await serve(answer), Simulator().credentials()
    signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem)
    fetcher = KalshiFetcher(client, base_url=f"{url}/trade-api/v2", signer=signer, clock=lambda: 1_772_058_240.5)
    assert (await fetcher.fetch()).as_of == 1_772_058_240_500


@pytest.mark.parametrize(
    ("position", "market", "mark", "source"),
    [
        ({}, {}, "0.40", "bid"),
        ({"position_fp": "-10.00"}, {}, "0.58", "bid"),
        ({"position_fp": "-0.50"}, {"no_bid_dollars": None}, "0.58", "bid"),
        ({}, {"yes_bid_dollars": "0.0000"}, "0.41", "last"),
        ({"position_fp": "-10.00"}, {"no_bid_dollars": "0.0000"}, "0.59", "last"),
        ({"position_fp": "-10.00"}, {"no_bid_dollars": None, "yes_ask_dollars": "1.0000"}, "0.59", "last"),
        ({}, {"yes_bid_dollars": "0.0000", "last_price_dollars": "0.0000"}, None, "cost"),
        ({}, {"ticker": "ANOTHER"}, None, "cost"),
        ({}, {"status": "finalized", "settlement_value_dollars": "1.0000"}, "1", "settlement"),
        ({}, {"status": "finalized", "settlement_value_dollars": "0.0000"}, "0", "settlement"),
        (
            {"position_fp": "-3.00"},
            {"status": "finalized", "settlement_value_dollars": "0.2500"},
            "0.75",
            "settlement",
        ),
        ({}, {"status": "finalized", "settlement_value_dollars": None, "result": "yes"}, "1", "settlement"),
        ({}, {"status": "determined", "result": "yes", "settlement_value_dollars": "1.0000"}, "1", "settlement"),
        ({}, {"status": "determined", "result": "no"}, "0", "settlement"),
        (
            {"position_fp": "-3.00"},
            {"status": "determined", "result": "no", "settlement_value_dollars": "0.0000"},
            "1",
            "settlement",
        ),
        (
            {"position_fp": "-3.00"},
            {"status": "determined", "result": "scalar", "settlement_value_dollars": "0.2500"},
            "0.75",
            "settlement",
        ),
        ({}, {"status": "amended", "result": "scalar", "settlement_value_dollars": "0.3000"}, "0.30", "settlement"),
        ({}, {"status": "determined", "result": "scalar"}, "0.40", "bid"),
        ({}, {"status": "disputed", "result": "yes", "settlement_value_dollars": "1.0000"}, "0.40", "bid"),
    ],
)
async def test_marks(fetch, position, market, mark, source):
    value = await fetch(positions=[{**POSITION, **position}], markets=[{**MARKET, **market}])
    (read,) = value.positions
    assert read.mark == (None if mark is None else Decimal(mark))
    assert read.mark_source == source
    if source == "cost":
        assert read.unrealized_pnl == 0


@pytest.mark.parametrize(
    ("where", "field", "value"),
    [
        ("positions", "position_fp", None),
        ("positions", "position_fp", 10),
        ("positions", "position_fp", "NaN"),
        ("positions", "position_fp", "Infinity"),
        ("positions", "position_fp", "1_000"),
        ("positions", "position_fp", " 1"),
        ("positions", "position_fp", ""),
        ("positions", "market_exposure_dollars", None),
        ("positions", "market_exposure_dollars", {"unexpected": True}),
        ("positions", "market_exposure_dollars", "1e13"),
        ("positions", "realized_pnl_dollars", True),
        ("positions", "realized_pnl_dollars", "nan"),
        ("positions", "fees_paid_dollars", []),
        ("positions", "ticker", None),
        ("positions", "ticker", 7),
        ("markets", "yes_bid_dollars", "1.2000"),
        ("markets", "yes_bid_dollars", "-0.1000"),
        ("markets", "yes_bid_dollars", 0.4),
        ("markets", "ticker", ""),
        ("markets", "status", 3),
        ("balance", "balance_dollars", "seven"),
        ("balance", "portfolio_value", "400"),
        ("balance", "portfolio_value", 400.5),
        ("balance", "portfolio_value", 10**15),
    ],
)
async def test_a_bad_field_is_named(fetch, where, field, value):
    row = {"positions": POSITION, "markets": MARKET, "balance": BALANCE}[where]
    changed = {**row, field: value}
    with pytest.raises(InvalidResponse, match=field):
        await fetch(**{where: changed if where == "balance" else [changed]})


async def test_a_market_without_any_bid_field_is_not_taken_for_an_empty_one(fetch):
    market = {key: value for key, value in MARKET.items() if key not in {"yes_bid_dollars", "no_ask_dollars"}}
    with pytest.raises(InvalidResponse, match="yes_bid_dollars is missing"):
        await fetch(markets=[market])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"yes_bid_dollars": "0.0000", "last_price_dollars": None}, "last_price_dollars is missing"),
        (
            {"status": "finalized", "settlement_value_dollars": None, "result": ""},
            "settlement_value_dollars is missing",
        ),
        ({"ticker": "x" * 501}, "ticker is longer than 500 characters"),
    ],
)
async def test_a_market_that_leaves_the_mark_open_is_refused(fetch, changes, said):
    with pytest.raises(InvalidResponse, match=said):
        await fetch(markets=[{**MARKET, **changes}])


async def test_a_balance_without_either_field(fetch):
    with pytest.raises(InvalidResponse, match="balance_dollars is missing"):
        await fetch(balance={"portfolio_value": 1})


async def test_the_string_has_precedence_over_the_integer_field(fetch):
    twins = {"position": 999, "market_exposure": 1, "realized_pnl": 1, "fees_paid": "rubbish"}
    value = await fetch(positions=[{**POSITION, **twins}], balance={**BALANCE, "balance": 1})
    (read,) = value.positions
    assert (read.quantity, read.cost, read.fees) == (Decimal(10), Decimal(3), Decimal("0.07"))
    assert value.balance == Decimal("710.06")


async def test_the_same_row_on_two_pages_counts_once(fetch):
    value = await fetch(
        pages=[
            {"market_positions": [POSITION], "cursor": "a"},
            {"market_positions": [POSITION, {**POSITION, "ticker": "M-2"}], "cursor": ""},
        ]
    )
    assert [p.ticker for p in value.positions] == ["M-1", "M-2"]


async def test_two_rows_that_contradict_each_other_are_refused(fetch):
    with pytest.raises(InvalidResponse, match=r"M-1.*twice"):
        await fetch(positions=[POSITION, {**POSITION, "fees_paid_dollars": "9.0000"}])


async def test_a_repeated_cursor_ends_the_paging(fetch):
    with pytest.raises(InvalidResponse, match=r"cursor 'again' came twice"):
        await fetch(pages=[{"market_positions": [], "cursor": "again"}])


async def test_every_page_is_read(client: UpstreamClient, serve):
    rows = [{**POSITION, "ticker": f"M-{index:04}", "position_fp": "0.00"} for index in range(2500)]
    limits = set()

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("balance"):
            return web.json_response(BALANCE)
        if request.query.get("settlement_status") != "unsettled":
            return nothing_else(request.path)
        limits.add((request.query["limit"], request.query["settlement_status"], request.query["subaccount"]))
        start = int(request.query.get("cursor", 0))
        cursor = str(start + 1000) if start + 1000 < len(rows) else ""
        return web.json_response({"market_positions": rows[start : start + 1000], "cursor": cursor})

    url = await serve(answer)
    fetched = await fetcher_of(client, f"{url}/trade-api/v2", Simulator().credentials()).fetch()
    assert len(fetched.value.positions) == 2500
    assert limits == {("1000", "unsettled", "0")}


async def test_markets_are_asked_for_in_batches_that_fit_a_request_line(client: UpstreamClient, serve):
    rows = [{**POSITION, "ticker": f"KXHIGHCHI-26FEB24-B{index:04}"} for index in range(700)]
    asked: list[list[str]] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("balance"):
            return web.json_response(BALANCE)
        if request.query.get("settlement_status") == "unsettled":
            return web.json_response({"market_positions": rows, "cursor": ""})
        if not request.path.endswith("/markets"):
            return nothing_else(request.path)
        asked.append(request.query["tickers"].split(","))
        assert len(request.raw_path) < 7000
        markets = [{**MARKET, "ticker": ticker} for ticker in asked[-1]]
        return web.json_response({"markets": markets, "cursor": ""})

    url = await serve(answer)
    fetched = await fetcher_of(client, f"{url}/trade-api/v2", Simulator().credentials()).fetch()
    assert {p.mark_source for p in fetched.value.positions} == {"bid"}
    assert sorted(itertools.chain.from_iterable(asked)) == [row["ticker"] for row in rows]
    assert len(asked) > 1


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
