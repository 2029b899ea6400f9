"""The main job through the public door: subscribe, receive, compare with REST and with the ledger's file."""

import asyncio
from datetime import date
from decimal import Decimal

import aiohttp
import orjson
import pytest
import socketio

from pnl_backend.domain.money import cents, number
from tests.support.clients import Listener, listening
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import PATIENCE

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]


async def refusal(url, auth):
    """What `connect_error` says to a client with this auth."""
    client = Listener()
    told = asyncio.get_running_loop().create_future()
    client.io.on("connect_error", told.set_result)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await client.io.connect(url, auth=auth)
    return await told


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_a_client_gets_connect_success_then_the_newest_then_every_update(server, transports):
    async with listening(server.url, transports=transports) as client:
        greeting = await client.until(lambda c: c.of("connect_success"))
        assert client.seen[0][0] == "connect_success"
        assert greeting[0]["message"] == "Connected to P&L streaming server"
        assert greeting[0]["clientId"] == client.io.get_sid()
        assert greeting[0]["transport"] in transports

        acknowledged = await client.io.call("subscribe_pnl")
        assert acknowledged["ok"] is True
        assert acknowledged["recovered"] is False
        updates = await client.until(lambda c: len(c.of("pnl_update")) >= 5 and c.of("pnl_update"))
        assert updates[0]["source"] == "initial"
        assert {update["source"] for update in updates[1:]} == {"stream"}
        assert updates[0]["data"]["epoch"] == acknowledged["epoch"]
        seqs = [update["data"]["seq"] for update in updates]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert all(update["timestamp"] == update["data"]["timestamp"] for update in updates)


async def test_what_clients_get_is_in_the_ledger_and_on_rest(server):
    async with listening(server.url) as client:
        await client.io.emit("subscribe_pnl")
        await client.io.emit("subscribe_components")
        await client.until(lambda c: len(c.of("pnl_update")) >= 3 and len(c.of("components_update")) >= 3)
        updates = client.of("pnl_update")
        components = {update["data"]["seq"]: update["data"] for update in client.of("components_update")}
    stored = {seq: orjson.loads(data) for seq, data in server.rows("SELECT seq, data FROM payloads")}
    for update in updates:
        seq = update["data"]["seq"]
        assert stored[seq] == update["data"]
        if seq in components:
            figures = ("totalRevenue", "totalExpenses", "netPnL", "grossMargin")
            assert components[seq]["summary"] == {name: update["data"][name] for name in figures}
    history = (await server.get("/api/pnl/history?limit=1000"))["data"]
    by_seq = {row["seq"]: row for row in history["data"]}
    assert all(by_seq[update["data"]["seq"]] == update["data"] for update in updates)
    assert history["count"] == len(history["data"])


async def test_a_change_upstream_reaches_the_client_to_the_cent(server, simulator):
    async with listening(server.url) as client:
        await client.io.emit("subscribe_pnl")
        before = (await client.until(lambda c: c.of("pnl_update")))[-1]["data"]
        simulator.step(40)
        truth = simulator.truth()
        spent = number(truth.anthropic.daily_spend)

        def all_arrived(update):
            shown = update["data"]["components"]
            return (
                shown["kalshi"]["balance"] == number(truth.kalshi.balance)
                and shown["anthropic"]["dailySpend"] == spent
                and shown["johns"]["collected"] == number(truth.johns.collected)
            )

        data = (await client.next("pnl_update", all_arrived))["data"]
    realized = truth.kalshi.realized_pnl - truth.kalshi.aged_realized_pnl
    revenue = cents(realized) + cents(truth.kalshi.unrealized_pnl) + cents(truth.johns.collected)
    spend = truth.anthropic.total_since(date.fromisoformat(server.env["PNL_SINCE"]))
    fees = truth.kalshi.fees - truth.kalshi.aged_fees
    exact = realized + truth.kalshi.unrealized_pnl + truth.johns.collected - spend - fees
    assert data["totalRevenue"] == number(revenue)
    assert data["totalExpenses"] == number(cents(spend) + cents(fees))
    assert data["netPnL"] == number(revenue - cents(spend) - cents(fees))
    assert Decimal(data["exact"]["netPnL"]) == exact
    assert data["components"]["kalshi"]["positions"] == truth.kalshi.positions
    assert data["components"]["johns"]["invoiced"] == number(truth.johns.invoiced)
    assert data["seq"] > before["seq"]


async def test_unsubscribing_stops_one_topic_and_not_the_other(server):
    async with listening(server.url) as client:
        await client.io.call("subscribe_pnl")
        await client.io.call("subscribe_components")
        assert await client.io.call("unsubscribe_pnl") == {"ok": True}
        seen = len(client.of("pnl_update"))
        await client.until(lambda c: len(c.of("components_update")) >= 5)
        assert len(client.of("pnl_update")) == seen


@pytest.mark.parametrize(
    ("event", "payload", "code"),
    [
        ("subscribe_pnl", {"since": 5}, "bad_payload"),
        ("subscribe_pnl", {"since": [1, 2]}, "bad_payload"),
        ("subscribe_pnl", {"since": {"epoch": "x", "seq": -1}}, "bad_payload"),
        ("subscribe_pnl", {"since": {"epoch": "x" * 100, "seq": 1}}, "bad_payload"),
        ("subscribe_pnl", {"since": {"epoch": "x", "seq": True}}, "bad_payload"),
        ("subscribe_dashboard", {"since": "yesterday"}, "bad_payload"),
    ],
)
async def test_a_since_that_is_none_gets_an_error(server, event, payload, code):
    async with listening(server.url) as client:
        answer = await client.io.call(event, payload)
        (error,) = await client.until(lambda c: c.of("error"))
        assert error["code"] == code
        assert answer == {"ok": False, **error}
        assert (await client.io.call("subscribe_pnl"))["ok"] is True


MEANINGLESS = ("everything", [1, 2], [{"since": 5}], 7, True, 0.5, b"bytes", {}, {"since": None}, {"room": "all"})


@pytest.mark.parametrize("topic", ["pnl", "components", "dashboard"])
async def test_payloads_that_mean_nothing_are_ignored(server, topic):
    event = "pnl-update" if topic == "dashboard" else f"{topic}_update"
    for payload in (*MEANINGLESS, ({}, {"since": 5}), ("one", "two", "three"), ({"since": None}, "more")):
        async with listening(server.url) as client:
            await client.io.emit(f"subscribe_{topic}", payload)
            await client.until(lambda c: len(c.of(event)) >= 2)
            assert (await client.io.call(f"unsubscribe_{topic}", payload)) == {"ok": True}
            assert (await client.io.call(f"subscribe_{topic}", payload))["ok"] is True
            assert client.of("error") == []


async def test_an_unknown_event_is_counted_and_answered_only_where_an_acknowledgement_is_asked_for(server):
    async with listening(server.url) as client:
        for event in ("subscribe_everything", "ping", "message", ""):
            await client.io.emit(event, {"room": "all"})
            answer = await client.io.call(event)
            assert answer == {"ok": False, "message": f"Unknown event: {event}", "code": "unknown_event"}
        assert (await client.io.call("subscribe_pnl"))["ok"] is True
        assert client.of("error") == []
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/metrics") as answer:
        assert "pnl_unknown_events_total 8.0" in await answer.text()


async def test_a_client_that_sends_too_much_gets_an_error_and_then_is_closed(server):
    async with listening(server.url) as client, listening(server.url) as bystander:
        await bystander.io.call("subscribe_pnl")
        closed = asyncio.Event()
        client.io.on("disconnect", lambda *_: closed.set())
        for _ in range(200):
            await client.io.emit("nonsense")
        await client.until(lambda c: any(error["code"] == "rate_limited" for error in c.of("error")))
        async with asyncio.timeout(PATIENCE):
            await closed.wait()
        await bystander.next("pnl_update")


async def test_replay_gives_exactly_what_was_missed_even_over_a_restart(server):
    async with listening(server.url) as client:
        await client.io.emit("subscribe_pnl")
        last = (await client.until(lambda c: len(c.of("pnl_update")) >= 3 and c.of("pnl_update")))[-1]["data"]
    await server.until("/api/pnl/current", lambda a: a["data"]["seq"] >= last["seq"] + 4)
    assert await server.stop() == 0
    await server.start()
    since = {"since": {"epoch": last["epoch"], "seq": last["seq"]}}
    async with listening(server.url) as client:
        answer = await client.io.call("subscribe_pnl", since)
        assert answer["recovered"] is True
        updates = await client.until(
            lambda c: any(u["source"] == "stream" for u in c.of("pnl_update")) and c.of("pnl_update")
        )
        seqs = [update["data"]["seq"] for update in updates]
        assert seqs == list(range(last["seq"] + 1, last["seq"] + 1 + len(seqs)))
        assert updates[0]["source"] == "replay"


@pytest.mark.parametrize("since", [{"epoch": "elsewhere", "seq": 1}, {"seq": 10**9}])
async def test_what_cannot_be_replayed_is_reported_and_the_newest_is_sent(server, since):
    current = (await server.get("/api/pnl/current"))["data"]
    async with listening(server.url) as client:
        answer = await client.io.call("subscribe_pnl", {"since": {"epoch": current["epoch"], **since}})
        assert answer["recovered"] is False
        (first, *_) = await client.until(lambda c: c.of("pnl_update"))
        assert first["source"] == "initial"


@pytest.mark.parametrize("namespace", ["/pnl", "/components"])
async def test_connecting_to_a_namespace_subscribes_at_once(server, namespace):
    client = socketio.AsyncClient(reconnection=False)
    events: asyncio.Queue = asyncio.Queue()
    event = "pnl_update" if namespace == "/pnl" else "components_update"
    client.on(event, events.put, namespace=namespace)
    await client.connect(server.url, namespaces=[namespace])
    try:
        async with asyncio.timeout(PATIENCE):
            received = [await events.get() for _ in range(4)]
    finally:
        await client.disconnect()
    assert [r["source"] for r in received] == ["initial", "stream", "stream", "stream"]
    seqs = [r["data"]["seq"] for r in received]
    assert seqs == list(range(seqs[0], seqs[0] + 4))


async def test_a_key_is_asked_for_where_one_is_set(tmp_path, simulator):
    server = ServerProcess(
        tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()), API_KEY="read-key-of-this-test"
    )
    await server.start()
    try:
        for auth in (None, {"apiKey": "wrong"}, {"apiKey": 5}, {"apiKey": ""}):
            assert await refusal(server.url, auth) == {"message": "Invalid or missing API key"}
        async with listening(server.url, auth={"apiKey": "read-key-of-this-test"}) as client:
            assert (await client.io.call("subscribe_pnl"))["ok"]
        async with listening(f"{server.url}?apiKey=read-key-of-this-test") as client:
            assert (await client.io.call("subscribe_pnl"))["ok"]
        assert (await server.get("/api/pnl/current"))["error"]["message"] == "Missing API key"
        assert (await server.get("/api/pnl/current", **{"X-API-Key": "no"}))["error"]["message"] == "Invalid API key"
        assert (await server.get("/api/pnl/current", **{"X-API-Key": "read-key-of-this-test"}))["success"]
        assert await server.stop() == 0
        written = server.log + "".join(p.read_text() for p in (tmp_path / "logs").glob("*.log"))
        for secret in ("read-key-of-this-test", server.env["ANTHROPIC_API_KEY"], server.env["JOHNS_REVENUE_TOKEN"]):
            assert secret not in written
    finally:
        await server.close()
