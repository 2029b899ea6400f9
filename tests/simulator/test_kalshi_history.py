"""Kalshi's live window and its archive in the simulator, and how far REST lags behind."""

from datetime import datetime
from decimal import Decimal

import pytest

from pnl_backend.simulator import Book

DAY = 86_400


def seconds(text):
    return datetime.fromisoformat(text).timestamp()


def dollars(rows, name):
    return sum((Decimal(row[name]) for row in rows), Decimal(0))


async def everything(caller):
    """What the live and the historical lists show, by list."""
    scope = {"settlement_status": "all"}
    return {
        "positions": await caller.pages("/portfolio/positions", "market_positions", **scope),
        "fills": await caller.pages("/portfolio/fills", "fills", subaccount=0),
        "settlements": await caller.pages("/portfolio/settlements", "settlements", subaccount=0),
        "markets": await caller.pages("/markets", "markets"),
        "old positions": await caller.pages("/historical/positions", "market_positions"),
        "old fills": await caller.pages("/historical/fills", "fills", subaccount=0),
        "old markets": await caller.pages("/historical/markets", "markets"),
    }


def names(rows):
    return {row["ticker"] for row in rows}


async def test_the_cutoff_moves_with_time_and_what_it_passed_is_historical(caller, clock):
    before = await everything(caller)
    assert not before["old positions"] + before["old fills"] + before["old markets"]
    settled_live = {row["ticker"] for row in before["settlements"]}
    truth = caller.sim.truth().kalshi
    clock.now += 83 * DAY
    _, cutoff = await caller.kalshi("/historical/cutoff")
    assert set(cutoff) == {
        "market_settled_ts",
        "trades_created_ts",
        "orders_updated_ts",
        "market_positions_last_updated_ts",
    }
    at = seconds(cutoff["trades_created_ts"])
    assert at == clock.now // DAY * DAY - 90 * DAY
    after = await everything(caller)
    for live, old in (("positions", "old positions"), ("fills", "old fills"), ("markets", "old markets")):
        key = "fill_id" if live == "fills" else "ticker"
        shown, archived = ({row[key] for row in after[name]} for name in (live, old))
        assert archived
        assert shown
        assert not shown & archived
        assert shown | archived == {row[key] for row in before[live]}
    assert all(row["ts"] < at for row in after["old fills"])
    assert all(row["ts"] >= at for row in after["fills"])
    assert all(seconds(row["last_updated_ts"]) < at for row in after["old positions"])
    assert {row["ticker"] for row in after["settlements"]} == settled_live - names(after["old positions"])
    now = caller.sim.truth().kalshi
    assert (now.realized_pnl, now.fees, now.balance) == (truth.realized_pnl, truth.fees, truth.balance)
    whole = after["positions"] + after["old positions"]
    assert dollars(whole, "realized_pnl_dollars") == truth.realized_pnl
    assert dollars(after["fills"] + after["old fills"], "fee_cost") == truth.fees


async def test_an_event_moves_as_a_whole_once_all_of_it_is_settled(start, clock):
    market = {"title": "m", "yes_bid": "0.4", "yes_ask": "0.5", "last": "0.4", "anchor": "0.4"}
    done = {**market, "status": "finalized", "result": "yes", "settlement_value": "1", "settled_hours_ago": 2400}
    tickers = ("KXA-1-OPEN", "KXA-1-DONE", "KXB-1-DONE")
    book = Book.from_json(
        {
            "markets": [
                {**(market if name.endswith("OPEN") else done), "ticker": name, "frozen": True} for name in tickers
            ],
            "fills": [[name, 2500, "yes", "3", "0.40", 0] for name in tickers],
        },
        clock(),
    )
    caller = await start(book=book)
    shown = await everything(caller)
    assert names(shown["old positions"]) == {"KXB-1-DONE"}
    assert names(shown["positions"]) == {"KXA-1-OPEN", "KXA-1-DONE"}
    assert names(shown["old fills"]) == set(tickers), "fills go by their own time"
    assert not shown["fills"]


async def test_markets_are_archived_at_any_moment_with_all_that_is_in_them(caller):
    before = await everything(caller)
    ticker = before["settlements"][0]["ticker"]
    open_ticker = next(row["ticker"] for row in before["positions"] if Decimal(row["position_fp"]))
    for command, status in (({"tickers": [open_ticker, ticker]}, 400), ({"tickers": [ticker]}, 200)):
        async with caller.http.post(caller.sim.control_url, json={"action": "archive", **command}) as answer:
            assert answer.status == status
            body = await answer.json()
    assert body == {"ok": True, "archived": [ticker]}
    after = await everything(caller)
    for live, old in (("positions", "old positions"), ("fills", "old fills"), ("markets", "old markets")):
        assert names(after[old]) == {ticker}
        assert after[old] == [row for row in before[live] if row["ticker"] == ticker]
        assert after[live] == [row for row in before[live] if row["ticker"] != ticker]
    assert ticker not in names(after["settlements"]), "archived settlements are in no list"
    assert (await caller.kalshi("/historical/settlements"))[0] == 404
    status, body = await caller.kalshi(f"/historical/markets/{ticker}")
    assert (status, body["market"]["ticker"]) == (200, ticker)
    assert (await caller.kalshi(f"/historical/markets/{open_ticker}"))[0] == 404
    assert caller.sim.kalshi.archive()
    assert not await caller.pages("/portfolio/positions", "market_positions", settlement_status="settled")


async def test_historical_lists_page_filter_and_refuse_like_the_live_ones(caller):
    caller.sim.kalshi.archive()
    for path, name in (("positions", "market_positions"), ("fills", "fills"), ("markets", "markets")):
        whole = await caller.pages(f"/historical/{path}", name)
        assert len(whole) > 3
        assert await caller.pages(f"/historical/{path}", name, limit=2) == whole
        one = whole[1]["ticker"]
        asked = {"tickers": one} if path == "markets" else {"ticker": one}
        assert names(await caller.pages(f"/historical/{path}", name, **asked)) == {one}
        event = one.rpartition("-")[0]
        if path != "fills":
            of_event = await caller.pages(f"/historical/{path}", name, event_ticker=event)
            assert of_event == [row for row in whole if row["ticker"].startswith(event + "-")]
        for limit in (0, 1001):
            assert (await caller.kalshi(f"/historical/{path}", limit=limit))[0] == 400
        assert (await caller.kalshi(f"/historical/{path}", cursor="@@", limit=1000))[1][name] == whole
        _, live = await caller.kalshi("/portfolio/fills", limit=1)
        assert (await caller.kalshi(f"/historical/{path}", cursor=live["cursor"], limit=1000))[1][name] == whole
    url = caller.sim.kalshi_url + "/historical/"
    for path, status in (("cutoff", 200), ("markets", 200), ("positions", 401), ("fills", 401)):
        async with caller.http.get(url + path) as answer:
            assert answer.status == status
    fills = await caller.pages("/historical/fills", "fills")
    between = await caller.pages("/historical/fills", "fills", min_ts=fills[3]["ts"], max_ts=fills[1]["ts"])
    assert between == [row for row in fills if fills[3]["ts"] <= row["ts"] <= fills[1]["ts"]]
    assert {row["subaccount_number"] for row in fills} >= {0}


async def test_a_row_that_is_archived_between_two_pages_shifts_no_other(caller):
    whole = await caller.pages("/portfolio/fills", "fills")
    _, first = await caller.kalshi("/portfolio/fills", limit=9)
    caller.sim.kalshi.archive()
    live = [row["fill_id"] for row in await caller.pages("/portfolio/fills", "fills")]
    rest = await caller.kalshi("/portfolio/fills", limit=1000, cursor=first["cursor"])
    known = [row["fill_id"] for row in whole[9:]]
    assert [row["fill_id"] for row in rest[1]["fills"]] == [one for one in known if one in live]


async def test_a_cursor_is_good_for_its_own_settlement_status_alone(caller):
    _, first = await caller.kalshi("/portfolio/positions", settlement_status="all", limit=3)
    _, again = await caller.kalshi("/portfolio/positions", settlement_status="settled", limit=3)
    _, crossed = await caller.kalshi(
        "/portfolio/positions", settlement_status="settled", limit=3, cursor=first["cursor"]
    )
    assert crossed == again


async def test_without_a_live_window_nothing_is_archived_for_its_age(caller, clock):
    async with caller.http.post(caller.sim.control_url, json={"action": "live_days", "days": None}) as answer:
        assert answer.status == 200
    before = await everything(caller)
    clock.now += 1000 * DAY
    assert await everything(caller) == before
    _, cutoff = await caller.kalshi("/historical/cutoff")
    assert seconds(cutoff["trades_created_ts"]) == 0
    caller.sim.kalshi.set_live_days(30)
    after = await everything(caller)
    assert after["old fills"] == before["fills"]
    caller.sim.kalshi.set_live_days(None)
    assert await everything(caller) == after, "what was archived does not come back"


async def test_rows_stay_in_the_order_of_their_times_when_the_clock_is_set_back(caller, clock):
    for hours in (1, -2, 1):
        clock.now += hours * 3600
        caller.sim.step(2200)
    for path, name in (("/portfolio/fills", "fills"), ("/portfolio/settlements", "settlements")):
        rows = await caller.pages(path, name, limit=7)
        times = [row["settled_time" if name == "settlements" else "created_time"] for row in rows]
        assert times == sorted(times, reverse=True)
        assert rows == await caller.pages(path, name, limit=1000)


async def test_rest_can_be_held_while_the_exchange_goes_on(caller, clock):
    async def seen():
        _, stamp = await caller.kalshi("/exchange/user_data_timestamp")
        _, balance = await caller.kalshi("/portfolio/balance")
        fills = await caller.pages("/portfolio/fills", "fills")
        return seconds(stamp["as_of_time"]), balance["balance_dollars"], len(fills)

    first = await seen()
    assert first[0] == pytest.approx(clock())
    for do, moved in (("hold", False), ("release", True)):
        async with caller.http.post(caller.sim.control_url, json={"action": "rest", "do": do}) as answer:
            assert answer.status == 200
        caller.sim.step(200)
        clock.now += 2
        later = await seen()
        assert (later[2] > first[2]) == moved
        assert later[0] == pytest.approx(clock() if moved else first[0])
        if not moved:
            assert later == first


async def test_rest_can_lag_and_catches_up(caller, clock):
    caller.sim.kalshi.set_rest_lag(3)
    _, first = await caller.kalshi("/exchange/user_data_timestamp")
    caller.sim.step(100)
    clock.now += 2
    assert (await caller.kalshi("/exchange/user_data_timestamp"))[1] == first
    clock.now += 2
    _, later = await caller.kalshi("/exchange/user_data_timestamp")
    assert seconds(later["as_of_time"]) == pytest.approx(clock())
    with pytest.raises(ValueError, match="lag"):
        caller.sim.kalshi.set_rest_lag(-1)
