"""The older pages' three ways to hold the ledger: spread each message, take each event whole, poll the bare ledger."""

import pytest

from tests.support.feeds import event_stream, plain_socket
from tests.support.server import FAST, ServerProcess, upstream_env

UPDATES = 10


async def moved(server, simulator, seq):
    """Move the figures, and wait until an update after `seq` shows it."""
    before = (await server.get("/api/pnl/current"))["data"]["netPnL"]
    simulator.step(10)
    return await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > seq and a["data"]["netPnL"] != before)


async def row_of(server, seq):
    rows = (await server.get("/api/pnl/history?limit=1000"))["data"]["data"]
    return next(row for row in rows if row["seq"] == seq)


def holds(state, row):
    """What such a page shows is what the snapshot says; as numbers and lists of the kind that it formats."""
    parts, components = state["breakdown"], row["components"]
    assert state["netPnL"] == row["netPnL"]
    assert state["kalshiPnL"] == parts["trades"] == components["kalshi"]["pnl"]
    assert state["totalCosts"] == -parts["costs"] == row["totalExpenses"]
    assert state["totalRevenue"] == parts["revenue"] == components["johns"]["collected"]
    assert sum(round(part * 100) for part in parts.values()) == round(state["netPnL"] * 100)
    counts = state["components"]
    assert {name: type(counts[name]) for name in ("openTradeCount", "closedTradeCount", "recentDeals", "deals")} == {
        "openTradeCount": int, "closedTradeCount": int, "recentDeals": int, "deals": list
    }  # fmt: skip
    assert counts["recentDeals"] == len(counts["deals"]) > 0
    assert {"id", "name", "amount", "status", "closedDate"} <= counts["deals"][0].keys()
    assert counts["openTradeCount"] == components["kalshi"]["positions"]
    assert state["metadata"]["dataPoints"] > 0
    assert state["metadata"]["computedAt"] <= row["calculatedAt"]


async def test_a_page_that_spreads_every_message_over_its_state(server, simulator):
    async with plain_socket(server.url, "/") as socket:
        state = (await socket.read())["data"]
        holds(state, await row_of(server, state["seq"]))
        for _ in range(UPDATES):
            simulator.step(10)
            message = await socket.read()
            state = message["data"] if message["type"] == "snapshot" else {**state, **message["data"]}
            holds(state, await row_of(server, state["seq"]))


async def test_a_page_that_takes_every_event_for_the_ledger(server, simulator):
    async with event_stream(server.url) as events:
        for _ in range(UPDATES):
            event = await events.read()
            state = event.data
            assert isinstance(state["timestamp"], int)
            row = await row_of(server, state["seq"])
            holds(state, row)
            assert state["metadata"]["computedAt"] == state["timestamp"] == row["calculatedAt"]
            simulator.step(10)
    async with event_stream(server.url, **{"Last-Event-ID": event.id}) as events:
        simulator.step(10)
        resumed = (await events.read()).data
        assert resumed["type"] == "delta"
        holds(resumed, await row_of(server, resumed["seq"]))


async def test_a_page_that_polls_the_bare_ledger(server, simulator):
    for _ in range(3):
        answer = await server.get("/api/pnl/current")
        assert answer["success"] is True
        assert isinstance(answer["timestamp"], str)
        holds(answer, answer["data"])
        await moved(server, simulator, answer["data"]["seq"])


@pytest.mark.parametrize("period", ["mtd", "today"])
async def test_the_bare_ledger_of_a_period(tmp_path, simulator, period):
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()))
    await server.start()
    try:
        # The first tick waits for no source longer than half an interval: until all are live, deals may be missing.
        answer = await server.until(
            f"/api/pnl/current?period={period}",
            lambda a: all(s["status"] == "live" for s in a["data"]["sources"].values()),
        )
        holds(answer, answer["data"])
    finally:
        await server.close()
