"""Engine.IO v4, rule by rule, on polling, WebSocket and the upgrade."""

import asyncio
import json

import aiohttp
import pytest

from tests.engine.client import Closed, PollingClient, WebSocketClient
from tests.engine.conftest import Running, Start
from tests.waiting import PATIENCE

EVERY = ["polling", "websocket", "upgraded", "upgrading"]


async def status(engine: Running, method: str, query: str) -> int:
    async with engine.http.request(method, f"{engine.base}?{query}") as response:
        return response.status


class TestHandshake:
    async def test_open_packet_on_polling(self, engine: Running) -> None:
        client = await engine.client("polling")
        assert set(client.handshake) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
        assert client.handshake["upgrades"] == ["websocket"]
        assert client.handshake["maxPayload"] == 16384

    async def test_open_packet_on_websocket(self, engine: Running) -> None:
        client = await engine.client("websocket")
        assert client.handshake["upgrades"] == []

    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    async def test_timings_below_a_second_are_announced(self, engine: Running, transport: str) -> None:
        client = await engine.client(transport)
        assert (client.handshake["pingInterval"], client.handshake["pingTimeout"]) == (400, int(PATIENCE * 1000))

    @pytest.mark.parametrize(
        "query",
        ["transport=polling", "EIO=abc&transport=polling", "EIO=3&transport=polling", "EIO=4", "EIO=4&transport=abc"],
    )
    async def test_bad_query_is_400(self, engine: Running, query: str) -> None:
        assert await status(engine, "GET", query) == 400

    @pytest.mark.parametrize(
        "query", ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=abc"]
    )
    async def test_bad_query_refuses_the_upgrade(self, engine: Running, query: str) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await WebSocketClient(engine.http, engine.base).dial(query)
        assert refused.value.status == 400

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD"])
    async def test_other_methods_are_400(self, engine: Running, method: str) -> None:
        assert await status(engine, method, "EIO=4&transport=polling") == 400

    async def test_a_get_without_upgrade_is_no_websocket(self, engine: Running) -> None:
        assert await status(engine, "GET", "EIO=4&transport=websocket") == 400

    async def test_options_is_answered(self, engine: Running) -> None:
        assert await status(engine, "OPTIONS", "EIO=4&transport=polling") == 204

    async def test_unknown_session_is_400(self, engine: Running) -> None:
        assert await status(engine, "GET", "EIO=4&transport=polling&sid=none") == 400
        assert await status(engine, "POST", "EIO=4&transport=polling&sid=none") == 400
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await WebSocketClient(engine.http, engine.base).dial("EIO=4&transport=websocket&sid=none")

    @pytest.mark.parametrize(
        "headers",
        [{"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Version": "12"}, {"Connection": "close"}],
    )
    async def test_bad_websocket_handshake(self, engine: Running, headers: dict[str, str]) -> None:
        good = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        }
        url = f"{engine.base}?EIO=4&transport=websocket"
        async with engine.http.get(url, headers={**good, **headers}) as response:
            assert response.status in (400, 426)
        assert engine.server.stats().clients == 0

    async def test_permessage_deflate_is_not_negotiated(self, engine: Running) -> None:
        client = await engine.client("websocket")
        assert client.ws.compress == 0


class TestPolling:
    async def test_post_is_answered_ok(self, engine: Running) -> None:
        client = await engine.connected("polling")
        assert await client.post('42["message",1]') == (200, "ok")

    async def test_several_packets_in_one_payload(self, engine: Running) -> None:
        client = await engine.connected("polling")
        await client.send('42["message",1]', '42["message",2]')
        assert [await client.packet(), await client.packet()] == ['42["message-back",1]', '42["message-back",2]']

    @pytest.mark.parametrize("body", ["abc", "4x\x1eabc", "", "\x1e", "9", b"\xff\xfe", "bnot base64!"])
    @pytest.mark.parametrize("state", ["polling", "upgrading"])
    async def test_invalid_payload_is_400_and_the_end(self, engine: Running, body: str | bytes, state: str) -> None:
        client = await engine.connected("polling") if state == "polling" else await engine.client("upgrading")
        assert (await client.post(body))[0] == 400
        assert (await client.poll())[0] == 400
        assert engine.server.stats().clients == 0

    async def test_another_protocol_version_is_400_and_the_session_goes_on(self, engine: Running) -> None:
        client = await engine.connected("polling")
        sid = client.handshake["sid"]
        for query in (f"transport=polling&sid={sid}", f"EIO=3&transport=polling&sid={sid}"):
            assert await status(engine, "POST", query) == 400
        assert await client.post('42["message",1]') == (200, "ok")

    async def test_two_polls_at_once_end_the_session(self, engine: Running) -> None:
        client = await engine.connected("polling")
        first = asyncio.create_task(client.poll())
        await engine.until(lambda: any(c.poll is not None for c in engine.server.clients.values()))
        assert (await client.poll())[0] == 400
        assert await first == (200, "1")
        assert (await client.poll())[0] == 400

    async def test_oversized_post_is_413_at_once(self, engine: Running) -> None:
        client = await engine.connected("polling")
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        path = client.url.partition(str(engine.port))[2]
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert b" 413 " in head.split(b"\r\n")[0]
        assert (await client.poll())[0] == 400
        writer.close()

    async def test_oversized_chunked_post_is_413(self, engine: Running) -> None:
        client = await engine.connected("polling")

        async def endless() -> object:
            while True:
                yield b"4" * 4096

        try:
            async with engine.http.post(client.url, data=endless()) as response:
                assert response.status == 413
        except aiohttp.ClientError:
            pass  # the server may hang up on what is still being sent
        assert (await client.poll())[0] == 400

    async def test_a_poll_that_is_given_up_ends_the_session_or_the_next(self, engine: Running) -> None:
        client = await engine.connected("polling")
        poll = asyncio.create_task(client.poll())
        await engine.until(lambda: any(c.poll is not None for c in engine.server.clients.values()))
        poll.cancel()
        assert (await client.poll())[0] == 400


class TestHeartbeat:
    @pytest.mark.parametrize("transport", ["polling", "websocket", "upgraded"])
    async def test_pings_are_sent_and_pongs_keep_alive(self, engine: Running, transport: str) -> None:
        client = await engine.connected(transport)
        while client.pings < 3:
            reading = asyncio.create_task(client.packet())
            await engine.until(lambda: client.pings >= 3)
            reading.cancel()
        assert engine.server.stats().clients == 1

    @pytest.mark.parametrize("transport", EVERY)
    async def test_a_silent_client_times_out(self, start: Start, transport: str) -> None:
        engine = await start(ping_interval=0.2, ping_timeout=0.3)
        client = await engine.client(transport)
        await engine.until(lambda: engine.server.stats().clients == 0)
        assert engine.server.stats().ping_timeouts == 1
        await client.leave()

    async def test_the_timeout_is_kept_to_the_millisecond(self, start: Start) -> None:
        """As the protocol's own suite has it: asleep for interval and timeout, then the session is gone."""
        engine = await start(ping_interval=0.3, ping_timeout=0.2)
        for _ in range(4):
            client = await engine.client("polling")
            await asyncio.sleep(0.5)
            assert (await client.poll())[0] == 400

    async def test_the_timeout_closes_the_websocket(self, start: Start) -> None:
        engine = await start(ping_interval=0.2, ping_timeout=0.3)
        client = await engine.connected("websocket")
        assert await client.raw() == "2"
        with pytest.raises(Closed):
            await client.raw()
        await engine.until(lambda: engine.log[-1][0] == "disconnect")
        assert engine.log[-1][2] == "ping timeout"

    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    async def test_a_ping_from_a_client_breaks_the_protocol(self, engine: Running, transport: str) -> None:
        client = await engine.connected(transport)
        await client.send("2")
        await client.until_closed()


class TestClose:
    async def test_client_close_ends_the_pending_poll_with_noop(self, engine: Running) -> None:
        client = await engine.connected("polling")
        poll = asyncio.create_task(client.poll())
        await engine.until(lambda: any(c.poll is not None for c in engine.server.clients.values()))
        await client.post("1")
        assert await poll == (200, "6")
        assert (await client.poll())[0] == 400
        assert engine.log[-1][2] == "client disconnect"

    @pytest.mark.parametrize("transport", ["websocket", "upgraded"])
    async def test_client_close_closes_the_websocket(self, engine: Running, transport: str) -> None:
        client = await engine.connected(transport)
        await client.send("1")
        await client.until_closed()
        assert engine.server.stats().clients == 0

    async def test_server_close_ends_the_pending_poll_with_close(self, engine: Running) -> None:
        client = await engine.connected("polling")
        poll = asyncio.create_task(client.poll())
        await engine.until(lambda: any(c.poll is not None for c in engine.server.clients.values()))
        await engine.server.eio.disconnect()
        assert await poll == (200, "1")

    async def test_server_close_waits_for_the_next_poll(self, engine: Running) -> None:
        client = await engine.connected("polling")
        await engine.server.emit("last", 1)
        await engine.server.eio.disconnect()
        assert await client.poll() == (200, '42["last",1]\x1e1')
        assert (await client.poll())[0] == 400


class TestUpgrade:
    async def test_upgrade(self, engine: Running) -> None:
        polling = await PollingClient(engine.http, engine.base).open()
        probe = WebSocketClient(engine.http, engine.base)
        await probe.dial(f"EIO=4&transport=websocket&sid={polling.handshake['sid']}")
        poll = asyncio.create_task(polling.poll())
        await engine.until(lambda: any(c.poll is not None for c in engine.server.clients.values()))
        await probe.send("2probe")
        assert await probe.raw() == "3probe"
        assert await poll == (200, "6")
        assert await polling.poll() == (200, "6"), "a poll that crossed the probe is released at once"
        await probe.send("5", "40")
        assert str(await probe.packet()).startswith("40{"), "no stale NOOP comes first"
        assert (await polling.poll())[0] == 400
        assert (await polling.post('42["message",1]'))[0] == 400
        await probe.send('42["message",1]')
        assert await probe.packet() == '42["message-back",1]'

    async def test_what_is_sent_during_the_upgrade_arrives_behind_it(self, engine: Running) -> None:
        polling = await engine.client("upgrading")
        await polling.post("40")
        await polling.post('42["message",1]')
        (session,) = engine.server.clients.values()
        await engine.until(lambda: session.outbox is not None and len(session.outbox.messages) == 2)
        probe = await polling.upgrade()
        assert str(await probe.packet()).startswith("40{")
        assert await probe.packet() == '42["message-back",1]'

    @pytest.mark.parametrize("first", ["2", "5", "2other", "4hello", b"2probe"])
    async def test_a_probe_that_is_none_is_closed_and_polling_goes_on(
        self, engine: Running, first: str | bytes
    ) -> None:
        polling = await engine.connected("polling")
        probe = WebSocketClient(engine.http, engine.base)
        await probe.dial(f"EIO=4&transport=websocket&sid={polling.handshake['sid']}")
        await probe.send(first)
        await probe.until_closed()
        await polling.post('42["message",1]')
        assert await polling.packet() == '42["message-back",1]'

    async def test_an_upgrade_that_breaks_off_loses_nothing(self, engine: Running) -> None:
        polling = await engine.client("upgrading")
        await polling.post("40")
        await polling.probe.leave()
        await engine.until(lambda: all(c.probe is None for c in engine.server.clients.values()))
        status_code, body = await polling.poll()
        assert status_code == 200
        assert body.startswith("40{")

    async def test_an_upgrade_that_stalls_is_given_up(self, start: Start) -> None:
        engine = await start(upgrade_timeout=0.3)
        polling = await engine.client("upgrading")
        await polling.probe.until_closed()
        assert await polling.post("40") == (200, "ok")
        assert str(await PollingClient.packet(polling)).startswith("40{")


async def test_the_error_body_is_what_clients_know(engine: Running) -> None:
    async with engine.http.get(f"{engine.base}?EIO=4&transport=polling&sid=none") as response:
        assert json.loads(await response.text()) == {"code": 1, "message": "Session ID unknown"}
