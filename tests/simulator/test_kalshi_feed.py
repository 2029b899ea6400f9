"""Kalshi's WebSocket feed in the simulator."""

import json
from decimal import Decimal

import aiohttp
import pytest

from tests.simulator.conftest import signed


@pytest.fixture
async def feed(caller):
    url = caller.sim.kalshi_ws_url
    headers = signed(caller.sim.credentials(), url, caller.clock())
    async with caller.http.ws_connect(url, headers=headers) as socket:
        yield Feed(caller.sim, socket)


class Feed:
    def __init__(self, sim, socket):
        self.sim = sim
        self.socket = socket

    async def next(self):
        return json.loads(await self.socket.receive_str(timeout=30))

    async def ask(self, cmd, number=1, **params):
        await self.socket.send_json({"id": number, "cmd": cmd, "params": params})
        return await self.next()


async def test_the_handshake_is_signed(caller):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await caller.http.ws_connect(caller.sim.kalshi_ws_url)
    assert refused.value.status == 401


async def test_messages_lead_from_the_rest_snapshot_to_the_truth(caller, feed):
    await feed.ask("subscribe", channels=["market_positions", "fill"])
    await feed.next()
    rows = await caller.pages("/portfolio/positions", "market_positions")
    held = {row["ticker"]: Decimal(row["position_fp"]) for row in rows}
    start = len(caller.sim.trading.account.fills)
    caller.sim.step(600)
    fills = caller.sim.trading.account.fills[start:]
    assert len(fills) > 20
    for fill in fills:
        first, second = await feed.next(), await feed.next()
        assert (first["type"], second["type"]) == ("fill", "market_position")
        told = first["msg"]
        assert (told["trade_id"], told["market_ticker"]) == (fill.fill_id, fill.ticker)
        sign = 1 if told["outcome_side"] == "yes" else -1
        held[fill.ticker] = held.get(fill.ticker, Decimal(0)) + sign * Decimal(told["count_fp"])
        assert held[fill.ticker] == Decimal(told["post_position_fp"]) == Decimal(second["msg"]["position_fp"])
    after = await caller.pages("/portfolio/positions", "market_positions")
    assert held == {row["ticker"]: Decimal(row["position_fp"]) for row in after}


async def test_quotes_come_for_the_named_markets_after_a_first_snapshot(caller, feed):
    ticker, other = list(caller.sim.trading.markets)[:2]
    sid = (await feed.ask("subscribe", channels=["ticker"], market_tickers=[ticker], send_initial_snapshot=True))["msg"]
    first = await feed.next()
    market = caller.sim.trading.markets[ticker]
    assert (sid["channel"], first["type"], first["sid"]) == ("ticker", "ticker", sid["sid"])
    assert Decimal(first["msg"]["yes_bid_dollars"]) == market.yes_bid
    assert (await feed.ask("update_subscription", sids=[1], action="add_markets", market_tickers=[other]))[
        "type"
    ] == "ok"
    caller.sim.step(200)
    seen = {}
    while seen.keys() != {ticker, other} or any(
        Decimal(seen[name]["yes_ask_dollars"]) != caller.sim.trading.markets[name].yes_ask for name in seen
    ):
        message = (await feed.next())["msg"]
        seen[message["market_ticker"]] = message
    message = await feed.ask("unsubscribe", number=9, sids=[1])
    while message["type"] == "ticker":
        message = await feed.next()
    assert (message["id"], message["type"]) == (9, "unsubscribed")
    assert (await feed.ask("list_subscriptions"))["msg"] == []


async def test_wrong_commands_get_kalshis_codes(feed):
    await feed.ask("subscribe", channels=["fill"])
    for cmd, params, code in (
        ("dance", {}, 5),
        ("subscribe", {}, 3),
        ("subscribe", {"channels": ["weather"]}, 8),
        ("subscribe", {"channels": ["ticker"], "market_tickers": []}, 14),
        ("subscribe", {"channels": [["fill"]]}, 1),
        ("unsubscribe", {}, 4),
        ("unsubscribe", {"sids": [77]}, 7),
        ("update_subscription", {"sids": [1], "action": "add_markets"}, 14),
        ("update_subscription", {"sids": [1], "action": "x", "market_tickers": ["A"]}, 13),
        ("update_subscription", {"sids": [1], "market_tickers": ["A"]}, 15),
        ("update_subscription", {"sids": [1, 1], "action": "add_markets", "market_tickers": ["A"]}, 12),
    ):
        answer = await feed.ask(cmd, number=5, **params)
        assert (answer["id"], answer["type"], answer["msg"]["code"]) == (5, "error", code)
    await feed.socket.send_str("{not json")
    assert (await feed.next())["msg"]["code"] == 1


async def test_subscriptions_end_with_an_error_and_can_be_taken_again(feed):
    await feed.ask("subscribe", channels=["fill"])
    feed.sim.feed.fail(10)
    ended = await feed.next()
    assert (ended["type"], ended["sid"], ended["msg"]["code"]) == ("error", 1, 10)
    assert (await feed.ask("subscribe", channels=["fill"]))["msg"]["sid"] == 2


async def test_retired_codes_are_not_sent(caller, feed):
    first = await feed.ask("subscribe", channels=["fill"])
    again = await feed.ask("subscribe", channels=["fill"])
    assert [ack["type"] for ack in (first, again)] == ["subscribed", "subscribed"]
    assert first["msg"]["sid"] != again["msg"]["sid"]
    for code in (6, 16, 17):
        with pytest.raises(ValueError, match="ends a subscription"):
            feed.sim.feed.fail(code)
        async with caller.http.post(
            caller.sim.control_url, json={"action": "feed", "do": "fail", "code": code}
        ) as answer:
            assert answer.status == 400
    assert (await feed.ask("list_subscriptions"))["type"] == "ok"


async def test_a_subscription_left_without_markets_gets_nothing(caller, feed):
    ticker, other = list(caller.sim.trading.markets)[:2]
    await feed.ask("subscribe", channels=["ticker"], market_tickers=[ticker])
    gone = await feed.ask("update_subscription", sid=1, action="delete_markets", market_tickers=[ticker])
    assert (gone["sid"], gone["seq"], gone["msg"]) == (1, 1, {"market_tickers": []})
    caller.sim.step(50)
    added = await feed.ask(
        "update_subscription", sid=1, action="add_markets", market_tickers=[other], send_initial_snapshot=True
    )
    assert (added["type"], added["seq"], added["msg"]) == ("ok", 2, {"market_tickers": [other]})
    assert (await feed.next())["msg"]["market_ticker"] == other


async def test_a_market_is_determined_before_it_settles_and_lifecycles_are_numbered(caller, feed):
    held = next(p for p in caller.sim.trading.account.positions.values() if p.quantity and p.subaccount == 0)
    await feed.ask("subscribe", channels=["market_lifecycle_v2", "market_positions"])
    await feed.next()
    caller.sim.kalshi.determine(held.ticker, "scalar", Decimal("0.25"))
    determined = await feed.next()
    assert (determined["type"], determined["seq"]) == ("market_lifecycle_v2", 1)
    told = determined["msg"]
    assert (told["event_type"], told["result"], told["settlement_value"]) == ("determined", "scalar", "0.2500")
    assert told["market_ticker"] == held.ticker
    markets = await caller.pages("/markets", "markets", tickers=held.ticker)
    assert [(row["status"], row["settlement_value_dollars"]) for row in markets] == [("determined", "0.2500")]
    assert caller.sim.truth().kalshi.marks[held.ticker] == "settlement"
    caller.sim.kalshi.settle(held.ticker)
    paid = settled = await feed.next()
    while settled["type"] == "market_position":
        settled = await feed.next()
    assert (paid["type"], paid["msg"]["user_id"]) == ("market_position", caller.sim.kalshi.user_ids[0])
    assert "seq" not in paid
    assert (settled["msg"]["event_type"], settled["seq"]) == ("settled", 2)


async def test_an_account_gets_its_own_fills_and_positions(caller, feed):
    mine = caller.sim.kalshi.user_ids[0]
    other = caller.sim.kalshi.add_account()
    ticker = next(m.ticker for m in caller.sim.trading.markets.values() if m.status == "active")
    await feed.ask("subscribe", channels=["fill", "market_positions"])
    await feed.next()
    url = caller.sim.kalshi_ws_url
    headers = signed(caller.sim.credentials(user_id=other), url, caller.clock())
    async with caller.http.ws_connect(url, headers=headers) as socket:
        theirs = Feed(caller.sim, socket)
        await theirs.ask("subscribe", channels=["fill", "market_positions"])
        await theirs.next()
        first = caller.sim.kalshi.trade(ticker, "yes", Decimal(3), Decimal("0.40"), user_id=other)
        second = caller.sim.kalshi.trade(ticker, "no", Decimal(2), Decimal("0.40"), subaccount=5)
        for one, fill, user in ((theirs, first, other), (feed, second, mine)):
            filled, moved = await one.next(), await one.next()
            assert (filled["msg"]["trade_id"], filled["msg"]["exchange_index"]) == (fill.fill_id, 0)
            assert (moved["msg"]["user_id"], moved["msg"]["market_ticker"]) == (user, ticker)
        assert moved["msg"]["subaccount"] == 5


async def test_muted_it_sends_nothing_and_dropped_it_is_closed(caller, feed):
    await feed.ask("subscribe", channels=["fill"])
    async with caller.http.post(caller.sim.control_url, json={"action": "feed", "do": "mute"}) as answer:
        assert answer.status == 200
    caller.sim.step(100)
    assert (await feed.ask("list_subscriptions"))["type"] == "ok"
    assert caller.sim.feed.connections == 1
    caller.sim.feed.drop()
    message = await feed.socket.receive(timeout=30)
    assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)


async def test_killing_the_upstream_ends_the_feed(caller, feed):
    await caller.sim.kill("kalshi")
    message = await feed.socket.receive(timeout=30)
    assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
    assert caller.sim.feed.connections == 0
