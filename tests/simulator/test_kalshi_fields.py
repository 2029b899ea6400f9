"""The simulator's answers and the parsers against the field lists of Kalshi's official client."""

import json
import zipfile
from collections import defaultdict
from decimal import Decimal

import pytest

from pnl_backend.errors import FetchError
from pnl_backend.simulator import Fault
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer
from tests.data.kalshi.make_fields import ANSWERS, FIELDS, NoIndex, Unavailable, download, read
from tests.support.field_lists import MODELS, Noted, differences, model_of, optional
from tests.support.kalshi_history import fills_of, settlements_of

TWIN = "the integer twin of an account recorded in February 2026, beside the string"
RECORDED = "a field of an account recorded in February 2026"

# What the parsers look at, or the generation "both" serves, that the official models no longer have.
OLDER_FIELDS = {
    ("EventPosition", "event_exposure"): TWIN,
    ("EventPosition", "fees_paid"): TWIN,
    ("EventPosition", "realized_pnl"): TWIN,
    ("EventPosition", "total_cost"): TWIN,
    ("EventPosition", "total_cost_shares"): TWIN,
    ("Fill", "count"): TWIN,
    ("Fill", "no_price"): TWIN,
    ("Fill", "no_price_fixed"): RECORDED,
    ("Fill", "price"): RECORDED,
    ("Fill", "ts_ms"): "the time of a fill in the feed, and in answers of another age",
    ("Fill", "yes_price"): TWIN,
    ("Fill", "yes_price_fixed"): RECORDED,
    ("GetBalanceResponse", "portfolio_value_dollars"): "the reader of money asks for the string first",
    ("Market", "last_price"): TWIN,
    ("Market", "no_ask"): TWIN,
    ("Market", "no_bid"): TWIN,
    ("Market", "settlement_value"): TWIN,
    ("Market", "yes_ask"): TWIN,
    ("Market", "yes_bid"): TWIN,
    ("MarketPosition", "fees_paid"): TWIN,
    ("MarketPosition", "market_exposure"): TWIN,
    ("MarketPosition", "position"): TWIN,
    ("MarketPosition", "realized_pnl"): TWIN,
    ("MarketPosition", "resting_orders_count"): RECORDED,
    ("MarketPosition", "total_traded"): TWIN,
    ("Settlement", "no_count"): TWIN,
    ("Settlement", "no_total_cost"): TWIN,
    ("Settlement", "yes_count"): TWIN,
    ("Settlement", "yes_total_cost"): TWIN,
}


@pytest.fixture
async def filled(start):
    """A simulator in which every list has rows, of every kind."""

    async def begin(generation):
        caller = await start(generation=generation)
        sim = caller.sim
        sim.step(400)
        first, second = [m.ticker for m in sim.trading.markets.values() if m.status == "active"][:2]
        for ticker in (first, second):
            sim.kalshi.trade(ticker, "yes", Decimal(3), Decimal("0.40"))
        sim.kalshi.determine(first, "yes")
        sim.kalshi.determine(second, "yes")
        sim.kalshi.settle(second)
        sim.kalshi.archive([second, *[row.ticker for row in sim.trading.account.settlements[:3]]])
        sim.kalshi.move_cash(0, 4, 1000)
        for status in ("pending", "returned", "failed"):
            sim.kalshi.put_transfer("deposit", status, 5, status=status)
            sim.kalshi.put_transfer("withdrawal", status, 5, status=status)
        return caller

    return begin


async def answers(caller):
    """Every route's whole answer, by route."""
    found = {}
    for path in ANSWERS:
        query = {"settlement_status": "all"} if path == "/portfolio/positions" else {}
        ticker = next(iter(caller.sim.kalshi.exchange.archived_markets))
        if path in ("/exchange/status", "/exchange/user_data_timestamp"):
            query = {}
        status, found[path] = await caller.kalshi(path.replace("{ticker}", ticker), limit=500, **query)
        assert status == 200, path
        lists = [rows for rows in found[path].values() if isinstance(rows, list)]
        assert all(lists), f"{path} shows no rows"
    return found


@pytest.mark.parametrize("generation", ["strings", "both"])
async def test_the_simulator_answers_as_the_models_say(filled, generation):
    caller = await filled(generation)
    found = set()
    for path, body in (await answers(caller)).items():
        found |= differences(model_of(path), body)
    expected = {(model, field, "unknown") for model, field in OLDER_FIELDS} if generation == "both" else set()
    report("what the simulator serves", sorted(found))
    assert found - expected == set()


class NotingClient(UpstreamClient):
    """Notes which fields of each answer are looked at."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.seen = defaultdict(set)

    async def get_json(self, upstream, url, **request):
        body = await super().get_json(upstream, url, **request)
        return Noted(body, model_of(url.partition("/trade-api/v2")[2].partition("?")[0]), self.seen)


READS = {
    "/portfolio/positions": KalshiFetcher.fetch,
    "/portfolio/fills": lambda fetcher: fills_of(fetcher.history),
    "/historical/fills": lambda fetcher: fills_of(fetcher.history, archived=True),
    "/portfolio/settlements": lambda fetcher: settlements_of(fetcher.history),
    "/portfolio/deposits": lambda fetcher: fetcher.history.deposits(),
    "/portfolio/withdrawals": lambda fetcher: fetcher.history.withdrawals(),
}


def fetcher_of(caller, client):
    given = caller.sim.credentials()
    signer = Signer.from_pem(given.kalshi_key_id, given.kalshi_private_key_pem, clock=caller.clock)
    return KalshiFetcher(client, base_url=caller.sim.kalshi_url, signer=signer, clock=caller.clock)


async def test_the_parsers_read_fields_that_exist(filled):
    caller = await filled("strings")
    client = NotingClient(caller.http, timeout=10)
    fetcher = fetcher_of(caller, client)
    for ask in READS.values():
        await ask(fetcher)
    assert {"MarketPosition", "Market", "Fill", "Settlement", "Deposit", "Withdrawal"} <= client.seen.keys()
    unknown = {(model, name) for model, names in client.seen.items() for name in names - MODELS[model]["fields"].keys()}
    unread = [
        (model, name, "required, and not read")
        for model, names in sorted(client.seen.items())
        for name, field in MODELS[model]["fields"].items()
        if field["required"] and name not in names
    ]
    report("what the parsers read", [*((*one, OLDER_FIELDS.get(one, "?")) for one in sorted(unknown)), *unread])
    assert unknown - OLDER_FIELDS.keys() == set()


@pytest.mark.parametrize("path", READS)
async def test_the_parsers_do_without_what_is_optional(filled, path):
    caller = await filled("strings")
    names = sorted(optional(model_of(path)) - {"cursor"})
    caller.sim.set_fault("kalshi", Fault.missing_fields(names, path=path))
    if path == "/portfolio/positions":
        # The settlement value is there whenever a market is determined, though the model cannot say so.
        market = sorted(optional(model_of("/markets")) - {"cursor", "settlement_value_dollars"})
        caller.sim.set_fault("kalshi", Fault.missing_fields(market, path="/markets"))
    refusals = []
    try:
        await READS[path](fetcher_of(caller, UpstreamClient(caller.http, timeout=10)))
    except FetchError as error:
        refusals.append((path, str(error)))
    report("what the parsers insist on", refusals)
    assert not refusals


@pytest.mark.parametrize("path", READS)
async def test_the_parsers_ignore_fields_that_no_document_names(filled, path):
    caller = await filled("strings")
    fetcher = fetcher_of(caller, UpstreamClient(caller.http, timeout=10))
    expected = await READS[path](fetcher)
    caller.sim.set_fault("kalshi", Fault.extra_fields(path=path))
    if path == "/portfolio/positions":
        caller.sim.set_fault("kalshi", Fault.extra_fields(path="/markets"))
    assert await READS[path](fetcher) == expected
    assert expected


def test_a_difference_is_found():
    whole = {"fills": [], "cursor": ""}
    assert differences("GetFillsResponse", whole) == set()
    assert differences("GetFillsResponse", {"fills": {}}) == {
        ("GetFillsResponse", "cursor", "missing"),
        ("GetFillsResponse", "fills", "not a List[Fill]: {}"),
    }
    found = differences("GetFillsResponse", {**whole, "fills": [{"fee_cost": 1, "book_side": "up", "new": 1}]})
    assert ("Fill", "fee_cost", "not a StrictStr: 1") in found
    assert ("Fill", "book_side", "not a BookSide: 'up'") in found
    assert ("Fill", "new", "unknown") in found
    assert ("Fill", "exchange_index", "missing") in found
    assert ("Fill", "created_time", "missing") not in found


def test_the_field_lists_are_those_of_the_official_client(tmp_path):
    try:
        wheel = download(tmp_path)
    except NoIndex as error:
        pytest.skip(f"no package index can be reached to read the official client from: {error}")
    assert read(wheel) == json.loads(FIELDS.read_text("utf-8"))


@pytest.mark.parametrize(("has_pip", "raised"), [(True, Unavailable), (False, NoIndex)])
def test_a_missing_client_is_distinguished_from_a_missing_index(tmp_path, monkeypatch, has_pip, raised):
    index = tmp_path / "index"
    index.mkdir()
    if has_pip:
        with zipfile.ZipFile(index / "pip-99.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("pip-99.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pip\nVersion: 99.0\n")
            wheel.writestr("pip-99.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr("pip-99.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    (tmp_path / "into").mkdir()
    with pytest.raises(Unavailable) as caught:
        download(tmp_path / "into")
    assert caught.type is raised


def report(title, rows):
    """Shown with `pytest -rP`."""
    print(f"{title}: {len(rows)} differences")
    for row in rows:
        print("  ", *row, sep="  ")
