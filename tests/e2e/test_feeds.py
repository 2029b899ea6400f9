"""The ledger feed of a real server: plain WebSocket and server-sent events against REST."""

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.feeds import event_stream, plain_socket
from tests.support.server import FAST, ServerProcess, upstream_env

KEY = "read-key-of-this-test"
LEDGER = {
    "timestamp", "kalshiPnL", "totalCosts", "totalRevenue", "netPnL", "breakdown", "components", "metadata", "epoch",
    "seq",
}  # fmt: skip
DELTA = {
    "timestamp", "netPnLDelta", "kalshiDelta", "costsDelta", "revenueDelta", "changePercent", "seq", "prevSeq",
    "degraded", "estimated", "complete",
    "netPnL", "kalshiPnL", "totalCosts", "totalRevenue", "breakdown",
}  # fmt: skip


@pytest.fixture
async def locked(tmp_path, simulator):
    """A server that asks for a key and knows one other origin."""
    env = {"API_KEY": KEY, "ALLOWED_ORIGINS": "https://dash.example", "CONNECT_TIMEOUT_MS": "1000"}
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()), **env)
    await server.start()
    yield server
    await server.close()


def follows(ledger, delta):
    assert delta["prevSeq"] == ledger["seq"]
    return {
        **ledger,
        "seq": delta["seq"],
        "netPnL": round(ledger["netPnL"] + delta["netPnLDelta"], 2),
        "kalshiPnL": round(ledger["kalshiPnL"] + delta["kalshiDelta"], 2),
        "totalCosts": round(ledger["totalCosts"] + delta["costsDelta"], 2),
        "totalRevenue": round(ledger["totalRevenue"] + delta["revenueDelta"], 2),
    }


@pytest.mark.parametrize("path", ["/", "/ws"])
async def test_a_snapshot_then_a_delta_for_each_change(server, simulator, path):
    async with plain_socket(server.url, path) as client:
        first = await client.read()
        assert first.keys() == {"type", "data", "timestamp"}
        assert first["type"] == "snapshot"
        assert first["data"].keys() >= LEDGER
        ledger = first["data"]
        assert ledger["netPnL"] == round(ledger["kalshiPnL"] + ledger["totalRevenue"] - ledger["totalCosts"], 2)
        assert ledger["breakdown"] == {
            "trades": ledger["kalshiPnL"], "costs": -ledger["totalCosts"], "revenue": ledger["totalRevenue"],
        }  # fmt: skip
        for _ in range(3):
            simulator.step(10)
            message = await client.read()
            assert message["type"] == "delta"
            assert message["data"].keys() - {"components"} == DELTA
            ledger = follows(ledger, message["data"])
            shown = (await server.get("/api/pnl/history?limit=1000"))["data"]["data"]
            (same,) = [row for row in shown if row["seq"] == ledger["seq"]]
            assert ledger["netPnL"] == same["netPnL"]
            assert ledger["totalRevenue"] == same["components"]["johns"]["collected"]


async def test_a_browser_gets_the_page_at_the_path_of_the_websocket(server):
    async with aiohttp.ClientSession() as session, session.get(server.url + "/") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"


async def test_events_are_named_by_their_place_and_resume_after_it(server, simulator):
    async with event_stream(server.url) as reader:
        headers = reader.response.headers
        assert headers["Content-Type"].startswith("text/event-stream")
        assert headers["Cache-Control"] == "no-cache, no-transform"
        assert headers["X-Accel-Buffering"] == "no"
        first = await reader.read()
        assert reader.retry == 3000
        ledger = first.data["data"]
        assert first.data["type"] == "snapshot"
        assert first.id == f"{ledger['epoch']}-{ledger['seq']}"
        simulator.step(10)
        last = await reader.read()
        ledger = follows(ledger, last.data["data"])
        assert last.id == f"{ledger['epoch']}-{ledger['seq']}"
    async with plain_socket(server.url) as watcher:
        await watcher.read()
        for _ in range(2):
            simulator.step(10)
            await watcher.read()
    assert await server.stop() == 0
    await server.start()
    async with event_stream(server.url, **{"Last-Event-ID": last.id}) as reader:
        for _ in range(2):
            event = await reader.read()
            assert event.data["type"] == "delta"
            ledger = follows(ledger, event.data["data"])
        simulator.step(10)
        message = (await reader.read()).data
        # The first publication of a run is a key frame.
        ledger = message["data"] if message["type"] == "snapshot" else follows(ledger, message["data"])
        current = await server.until("/api/pnl/current", lambda a: a["data"]["seq"] >= ledger["seq"])
        assert current["success"]


@pytest.mark.parametrize(
    "given", ["garbage", "-", "k3v9-", "nowhere-12", "x" * 5000, "-1", "k3v9-99999999999999999999"]
)
async def test_a_place_that_is_not_ours_gets_a_snapshot(server, given):
    async with event_stream(server.url, **{"Last-Event-ID": given}) as reader:
        assert (await reader.read()).data["type"] == "snapshot"


async def test_a_future_place_gets_a_snapshot(server):
    epoch = (await server.get("/api/pnl/current"))["data"]["epoch"]
    async with event_stream(server.url, **{"Last-Event-ID": f"{epoch}-999999"}) as reader:
        assert (await reader.read()).data["type"] == "snapshot"


async def test_the_event_stream_asks_for_a_key_as_rest_does(locked):
    assert (await locked.get("/api/pnl/stream"))["error"]["message"] == "Missing API key"
    assert (await locked.get("/api/pnl/stream?apiKey=no"))["error"]["message"] == "Invalid API key"
    async with event_stream(locked.url, params={"apiKey": KEY}) as reader:
        assert (await reader.read()).data["type"] == "snapshot"
    async with event_stream(locked.url, Authorization=f"Bearer {KEY}") as reader:
        assert (await reader.read()).data["type"] == "snapshot"


@pytest.mark.parametrize("path", ["/", "/ws"])
async def test_a_key_is_required_before_any_message(locked, path):
    async with plain_socket(locked.url, f"{path}?apiKey={KEY}") as client:
        assert (await client.read())["type"] == "snapshot"
    async with plain_socket(locked.url, path) as client:
        await client.send({"type": "auth", "apiKey": KEY})
        assert (await client.read())["type"] == "snapshot"
    async with plain_socket(locked.url, f"{path}?apiKey=wrong") as client:
        assert await client.closed() == (4401, "Invalid API key")
    for first in ({"type": "auth", "apiKey": "wrong"}, {"type": "auth", "apiKey": 5}):
        async with plain_socket(locked.url, path) as client:
            await client.send(first)
            assert await client.closed() == (4401, "Invalid API key")
    for first in ({"type": "auth"}, {"type": "ping"}, "garbage", b"\x00"):
        async with plain_socket(locked.url, path) as client:
            await client.send(first)
            assert await client.closed() == (4401, "Missing API key")
    async with plain_socket(locked.url, path) as client:
        assert await client.closed() == (4401, "Missing API key")
    assert KEY not in locked.log


async def test_a_foreign_origin_is_refused_before_the_upgrade(locked):
    for origin in ("https://evil.example", "null"):
        with pytest.raises(InvalidStatus) as refused:
            async with plain_socket(locked.url, f"/?apiKey={KEY}", origin=origin):
                pass
        assert refused.value.response.status_code == 403
        async with aiohttp.ClientSession() as session:
            headers = {"Origin": origin, "X-API-Key": KEY}
            async with session.get(locked.url + "/api/pnl/stream", headers=headers) as answer:
                assert answer.status == 403
    for origin in ("https://dash.example", locked.url):
        async with plain_socket(locked.url, f"/?apiKey={KEY}", origin=origin) as client:
            assert (await client.read())["type"] == "snapshot"


async def test_the_dashboard_s_socket_is_kept_by_the_same_rules(locked):
    async with plain_socket(locked.url, f"/pnl-stream?apiKey={KEY}") as client:
        message = await client.read()
        assert message["netPnL"] == round(message["revenue"] - message["expenses"], 2)
        assert message["trendsData"][-1]["net"] == message["netPnL"]
        assert {"costBreakdown", "agentAttribution", "previousNetPnL"} <= message.keys()
        later = await client.until(lambda m: m["seq"] > message["seq"])
        assert later["trendsData"][:-1] == message["trendsData"][:-1]
        assert later["previousRevenue"] != 0
    async with plain_socket(locked.url, "/pnl-stream?apiKey=wrong") as client:
        assert await client.closed() == (4401, "Invalid API key")
    async with plain_socket(locked.url, "/pnl-stream") as client:
        assert await client.closed() == (4401, "Missing API key")
    with pytest.raises(InvalidStatus):
        async with plain_socket(locked.url, f"/pnl-stream?apiKey={KEY}", origin="https://evil.example"):
            pass


async def answers(client):
    """What a client is told beside the feed itself."""
    return await client.until(lambda message: message["type"] not in ("snapshot", "delta"))


async def test_pings_are_answered_and_three_bad_messages_close(server):
    async with plain_socket(server.url) as client:
        await client.send({"type": "ping"})
        pong = await answers(client)
        assert pong["type"] == "pong"
        assert isinstance(pong["timestamp"], int)
        for bad in ("no json", b"binary", {"type": "subscribe_everything"}):
            await client.send(bad)
            assert (await answers(client)).keys() == {"type", "message"}
        assert await client.closed() == (1008, "Too many bad messages")


async def test_a_client_that_sends_too_much_gets_an_error_and_is_closed_and_others_continue(server, simulator):
    async with plain_socket(server.url) as flooder, plain_socket(server.url) as bystander:
        await bystander.read()
        for _ in range(1000):
            if flooder.raw.close_code is not None:
                break
            await flooder.send({"type": "ping"})
        assert await flooder.closed() == (1008, "Too many messages")
        simulator.step(10)
        assert (await bystander.read())["type"] == "delta"


async def test_a_message_too_big_closes(server):
    async with plain_socket(server.url) as client:
        await client.send('{"type":"ping","more":"' + "x" * 1_000_000 + '"}')
        assert (await client.closed())[0] == 1009
