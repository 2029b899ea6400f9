"""What no client should send, on every feed: it is answered or refused, and no other client is affected."""

import asyncio
import json
from contextlib import suppress

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.clients import listening
from tests.support.feeds import event_stream, plain_socket
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import PATIENCE

KEY = "read-key-of-this-test"
FEEDS = ("/", "/ws", "/pnl-stream")
NESTED = "[" * 8000 + "]" * 8000
MEGABYTE = 'x"' * 500_000
FLOOD = 1000


@pytest.fixture
async def locked(tmp_path, simulator):
    """A server that asks for a key; whatever a test did to it, it must be well and alone afterwards."""
    env = {"API_KEY": KEY, "CONNECT_TIMEOUT_MS": "1500", "ALLOWED_ORIGINS": "https://dash.example"}
    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()), **env)
    await server.start()
    yield server
    await server.until("/api/health", lambda a: a["connectedClients"] == 0)
    assert (await server.get("/health"))["status"] == "healthy"
    await server.close()
    assert "Traceback" not in server.log
    assert KEY not in server.log


def feed(server, path, **more):
    return plain_socket(server.url, f"{path}?apiKey={KEY}", **more)


async def first_of(client):
    """The feed's own first message has no `error` in it."""
    message = await client.read()
    assert message.get("type", "dashboard") in ("snapshot", "dashboard")
    return message


async def complaints(client):
    """Only what answers the client, until the end; then how it was closed."""
    told = []
    with suppress(ConnectionClosed):
        while True:
            message = await client.read()
            if message.get("type") in ("error", "pong"):
                told.append(message)
    return told, await client.closed()


@pytest.mark.parametrize("path", FEEDS)
async def test_three_messages_that_make_no_sense_close(locked, path):
    nonsense = (
        "", "no json", "nul\x00", "null", "5", '"ping"', "[]", NESTED, "{}", '{"type":null}', '{"type":["ping"]}',
        '{"type":{"ping":1}}', '{"type":"PING"}', '{"type":"subscribe_pnl"}', '{"type":"snapshot","data":{}}',
        '{"type":1e999}', json.dumps({"type": "x" * 15_000}), '{"a":' * 2000 + "1" + "}" * 2000,
        b"", b"\x00\xff", b'{"type":"ping"}',
    )  # fmt: skip
    for start in range(0, len(nonsense), 3):
        async with feed(locked, path) as client:
            await first_of(client)
            for message in nonsense[start : start + 3]:
                await client.send(message)
            told, end = await complaints(client)
            assert [message["type"] for message in told] == ["error"] * 3
            assert all(0 < len(message["message"]) < 100 for message in told)
            assert end == (1008, "Too many bad messages")


@pytest.mark.parametrize("path", FEEDS)
async def test_a_message_too_big_closes_with_and_without_a_key(locked, path):
    for query in (f"?apiKey={KEY}", ""):
        for message in (MEGABYTE, MEGABYTE.encode(), "x" * 16_385):
            async with plain_socket(locked.url, path + query) as client:
                await client.send(message)
                assert (await client.closed())[0] == 1009


@pytest.mark.parametrize("path", FEEDS)
async def test_frames_against_the_protocol_close(locked, path):
    async with feed(locked, path) as client:
        client.raw.transport.write(b"\x81\x82\x00\x00\x00\x00\xc3\x28")  # a text that is not UTF-8
        assert (await client.closed())[0] == 1007
    for frame in (b"\x81\x02{}", b"\xf1\x80\x00\x00\x00\x00", b"\x83\x80\x00\x00\x00\x00", b"\x80\x80\x00\x00\x00\x00"):
        async with feed(locked, path) as client:
            client.raw.transport.write(frame)  # no mask; bits that nobody agreed on; an unknown kind; a torn fragment
            assert (await client.closed())[0] == 1002


@pytest.mark.parametrize("path", FEEDS)
async def test_a_key_that_is_none_closes(locked, path):
    for given in ("wrong", "", None, 5, [KEY], {"a": KEY}, KEY.upper(), f"{KEY} ", "\u0000", "ключ", "x" * 15_000):
        async with plain_socket(locked.url, path) as client:
            await client.send({"type": "auth", "apiKey": given})
            assert await client.closed() == (4401, "Invalid API key")
    async with feed(locked, path) as client:
        await first_of(client)
        await client.send({"type": "auth", "apiKey": "wrong"})
        assert (await complaints(client))[1] == (4401, "Invalid API key")
    async with plain_socket(locked.url, path) as silent, plain_socket(locked.url, path) as talkative:
        for _ in range(3):
            await talkative.raw.ping()
        assert await silent.closed() == (4401, "Missing API key")
        assert await talkative.closed() == (4401, "Missing API key")


@pytest.mark.parametrize("path", FEEDS)
async def test_an_upgrade_that_is_none_is_refused(locked, path):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    cases = (
        (upgrade, 400),
        ({**upgrade, **key, "Sec-WebSocket-Version": "7"}, 426),
        ({**upgrade, "Sec-WebSocket-Key": "short"}, 400),
        ({**upgrade, **key, "Origin": "https://evil.example"}, 403),
        ({**upgrade, **key, "Origin": "null"}, 403),
        ({**upgrade, **key, "Origin": f"{locked.url}.evil.example"}, 403),
    )
    async with aiohttp.ClientSession() as session:
        for headers, status in cases:
            async with session.get(f"{locked.url}{path}?apiKey={KEY}", headers=headers) as answer:
                assert answer.status == status, headers
    for origin in (locked.url, "https://dash.example"):
        async with feed(locked, path, origin=origin) as client:
            await first_of(client)
    with pytest.raises(InvalidStatus):
        async with feed(locked, path, origin="https://evil.example"):
            pass


async def test_a_thousand_messages_at_once_disturb_no_other_client(locked, simulator):
    """One flooder on each feed and on Socket.IO, one quiet client beside each."""
    async with (
        feed(locked, "/ws") as socket,
        feed(locked, "/pnl-stream") as board,
        event_stream(locked.url, params={"apiKey": KEY}) as events,
        listening(locked.url, auth={"apiKey": KEY}) as client,
    ):
        await client.io.call("subscribe_pnl")
        held = (await first_of(socket))["data"]["seq"]
        await first_of(board)
        assert (await events.read()).data["data"]["seq"] <= held
        ends = await asyncio.gather(*(flood(locked, path) for path in FEEDS), flood_events(locked))
        assert ends == [(1008, "Too many messages")] * len(FEEDS) + [True]
        simulator.step(10)
        delta = await socket.until(lambda message: message["type"] == "delta")
        assert delta["data"]["prevSeq"] >= held
        assert (await events.read()).data["type"] in ("delta", "snapshot")
        await board.until(lambda message: message["seq"] >= delta["data"]["seq"])
        await client.until(lambda c: c.of("pnl_update")[-1]["data"]["seq"] >= delta["data"]["seq"])
        seqs = [update["data"]["seq"] for update in client.of("pnl_update")]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


async def flood(server, path):
    async with feed(server, path) as client:
        for _ in range(FLOOD):
            if client.raw.close_code is not None:
                break
            await client.send({"type": "ping"})
        told, end = await complaints(client)
        assert {message["type"] for message in told} == {"pong", "error"}
        return end


async def flood_events(server):
    async with listening(server.url, auth={"apiKey": KEY}) as client:
        gone = asyncio.Event()
        client.io.on("disconnect", lambda *_: gone.set())
        for _ in range(FLOOD):
            if gone.is_set():
                break
            await client.io.emit("subscribe_pnl", {"since": {"epoch": "x", "seq": 1}})
        async with asyncio.timeout(PATIENCE):
            return await gone.wait()


async def test_places_that_cannot_be(locked):
    """A future, garbled or foreign place on the event stream and in `since`: the newest, said to be new."""
    current = (await locked.get("/api/pnl/current", **{"X-API-Key": KEY}))["data"]
    epoch, seq = current["epoch"], current["seq"]
    for given in (
        f"{epoch}-{seq + 10**6}", f"{epoch}-{2**70}", f"{epoch}-", f"-{seq}", f"{epoch}--1", f"{epoch}-1e3",
        f"{epoch}-٣", f"other-{seq}", "-", "garbage", "%00", "9" * 64, "x" * 7000,
    ):  # fmt: skip
        headers = {"Last-Event-ID": given, "X-API-Key": KEY}
        async with event_stream(locked.url, **headers) as reader:
            event = await reader.read()
            assert event.data["type"] == "snapshot", given
            assert event.data["data"]["seq"] >= seq
    async with listening(locked.url, auth={"apiKey": KEY}) as client:
        for since in ({"epoch": epoch, "seq": seq + 10**6}, {"epoch": epoch, "seq": 2**52}, {"epoch": "ж", "seq": 0}):
            answer = await client.io.call("subscribe_pnl", {"since": since})
            assert (answer["ok"], answer["recovered"]) == (True, False)
        for since in (
            {"epoch": epoch, "seq": 2**70},
            {"epoch": epoch, "seq": 1.5},
            {"epoch": "", "seq": 1},
            [],
            "x",
            True,
        ):
            answer = await client.io.call("subscribe_pnl", {"since": since})
            assert (answer["ok"], answer["code"]) == (False, "bad_payload")


async def test_the_event_stream_takes_a_get_and_nothing_else(locked):
    async with aiohttp.ClientSession(headers={"X-API-Key": KEY}) as session:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with session.request(method, locked.url + "/api/pnl/stream", data=b"x") as answer:
                assert answer.status == 405
        async with session.head(locked.url + "/api/pnl/stream") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/event-stream")
    for params, status in (
        ({}, 401),
        ({"apiKey": ""}, 401),
        ({"apiKey": "wrong"}, 403),
        ({"apiKey": KEY.upper()}, 403),
    ):
        async with (
            aiohttp.ClientSession() as session,
            session.get(locked.url + "/api/pnl/stream", params=params) as answer,
        ):
            assert answer.status == status
