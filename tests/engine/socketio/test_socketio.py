"""Socket.IO v5, rule by rule, on polling, WebSocket and during the upgrade."""

import asyncio
import json
from typing import Any

import pytest

from pnl_backend.engine import ConnectPlan, ConnectRequest, EncodedJson, Server
from tests.engine.conftest import Running, Start
from tests.waiting import PATIENCE

EVERY = ["polling", "websocket", "upgraded", "upgrading"]
SETTLED = ["polling", "websocket", "upgraded"]


class TestConnect:
    @pytest.mark.parametrize("transport", EVERY)
    async def test_main_namespace(self, engine: Running, transport: str) -> None:
        client = await engine.client(transport)
        await client.send('40{"token":"123"}')
        answer = str(await client.packet())
        assert answer.startswith('40{"sid":"')
        assert engine.log[0][2] == {"token": "123"}
        assert json.loads(answer[2:])["sid"] != client.handshake["sid"]

    @pytest.mark.parametrize("transport", EVERY)
    async def test_custom_namespace(self, engine: Running, transport: str) -> None:
        client = await engine.client(transport)
        await client.send("40/custom,")
        assert str(await client.packet()).startswith('40/custom,{"sid":"')

    @pytest.mark.parametrize("transport", EVERY)
    async def test_unknown_namespace(self, engine: Running, transport: str) -> None:
        client = await engine.client(transport)
        await client.send("40/random,")
        assert await client.packet() == '44/random,{"message":"Invalid namespace"}'

    @pytest.mark.parametrize("transport", EVERY)
    async def test_no_connect_within_the_timeout(self, start: Start, transport: str) -> None:
        engine = await start(connect_timeout=0.4)
        client = await engine.client(transport)
        await client.until_closed()
        assert engine.server.stats().clients == 0

    @pytest.mark.parametrize("transport", SETTLED)
    async def test_a_refused_key(self, start: Start, transport: str) -> None:
        engine = await start(options={"authenticate": lambda environ, auth: "k" if auth == {"apiKey": "x"} else None})
        client = await engine.client(transport)
        await client.send('40{"apiKey":"y"}')
        assert await client.packet() == '44{"message":"Invalid or missing API key"}'
        await client.send('40{"apiKey":"x"}')
        assert str(await client.packet()).startswith("40{")

    async def test_a_failing_key_check_admits_no_client(self, start: Start) -> None:
        async def broken(environ: Any, auth: Any) -> str:
            raise RuntimeError("no store")

        engine = await start(options={"authenticate": broken})
        client = await engine.client("websocket")
        await client.send("40")
        assert str(await client.packet()).startswith("44")

    async def test_nothing_comes_before_the_answer(self, start: Start) -> None:
        def setup(server: Server) -> None:
            @server.on("connect")
            async def connect(sid: str, environ: Any, auth: Any) -> None:
                await server.enter_room(sid, "all")
                await server.emit("welcome", 1, to=sid)
                await server.broadcast("news", 2, room="all")

        engine = await start(setup=setup)
        client = await engine.client("websocket")
        await client.send("40")
        assert str(await client.packet()).startswith("40{")
        assert [await client.packet(), await client.packet()] == ['42["welcome",1]', '42["news",2]']

    async def test_a_plan_restores_and_replays(self, start: Start) -> None:
        def plan(request: ConnectRequest) -> ConnectPlan:
            assert request.auth == {"pid": "p"}
            return ConnectPlan(sid="old", rooms=["r"], payload={"pid": "p"}, variant=1, replay=[("missed", (1, "o1"))])

        engine = await start(options={"on_connect": plan})
        client = await engine.client("websocket")
        await client.send('40{"pid":"p"}')
        assert await client.packet() == '40{"sid":"old","pid":"p"}'
        assert await client.packet() == '42["missed",1,"o1"]'
        other = await engine.client("websocket")
        await engine.server.broadcast("next", {"n": 2}, room="r", offset="o2")
        assert await client.packet() == '42["next",{"n":2},"o2"]'
        await other.leave()

    @pytest.mark.parametrize("namespace", ["/", "/custom"])
    async def test_encoded_json_is_sent_as_it_is(self, start: Start, namespace: str) -> None:
        """As payload of an event, beside an offset, as acknowledgement, and with an acknowledgement asked for."""

        def setup(server: Server) -> None:
            @server.on("ask", namespace=namespace)
            async def ask(sid: str) -> EncodedJson:
                await server.emit("told", EncodedJson('{"b": 1.0}'), to=sid, namespace=namespace, callback=print)
                return EncodedJson('{"é": 1e2}')

        engine = await start(setup=setup)
        client = await engine.connected("websocket", namespace)
        place = "" if namespace == "/" else f"{namespace},"
        await engine.server.broadcast("news", EncodedJson('{"é": [1.50]}'), namespace=namespace)
        assert await client.packet() == f'42{place}["news",{{"é": [1.50]}}]'
        message = engine.server.manager.encode("news", (EncodedJson("{}"), "o1"), namespace)
        assert message.packets == (f'42{place}["news",{{}},"o1"]',)
        await client.send(f'42{place}7["ask"]')
        assert await client.packet() == f'42{place}1["told",{{"b": 1.0}}]'
        assert await client.packet() == f'43{place}7[{{"é": 1e2}}]'


class TestEvents:
    @pytest.mark.parametrize("transport", SETTLED)
    async def test_echo(self, engine: Running, transport: str) -> None:
        client = await engine.connected(transport)
        await client.send('42["message",1,"2",{"3":[true]}]')
        assert await client.packet() == '42["message-back",1,"2",{"3":[true]}]'

    @pytest.mark.parametrize("transport", SETTLED)
    async def test_binary_echo(self, engine: Running, transport: str) -> None:
        client = await engine.connected(transport)
        await client.send(
            '452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"\1\2\3", b"\4\5\6"
        )
        assert (
            await client.packet() == '452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        )
        assert [await client.packet(), await client.packet()] == [b"\1\2\3", b"\4\5\6"]

    @pytest.mark.parametrize("transport", SETTLED)
    async def test_acknowledgement(self, engine: Running, transport: str) -> None:
        client = await engine.connected(transport)
        await client.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await client.packet() == '43456[1,"2",{"3":[false]}]'

    @pytest.mark.parametrize("transport", SETTLED)
    async def test_binary_acknowledgement(self, engine: Running, transport: str) -> None:
        client = await engine.connected(transport)
        await client.send('451-789["message-with-ack",{"_placeholder":true,"num":0}]', b"\1\2\3")
        assert await client.packet() == '461-789[{"_placeholder":true,"num":0}]'
        assert await client.packet() == b"\1\2\3"

    @pytest.mark.parametrize("transport", SETTLED)
    async def test_the_server_can_ask(self, engine: Running, transport: str) -> None:
        client = await engine.connected(transport)
        call = asyncio.create_task(engine.server.call("question", 1, to=engine.log[0][1], timeout=5))
        packet = str(await client.packet())
        assert packet.endswith('["question",1]')
        await client.send("43" + packet[2 : packet.index("[")] + '["answer"]')
        assert await call == "answer"

    async def test_disconnect_from_one_namespace_keeps_the_other(self, engine: Running) -> None:
        client = await engine.connected("websocket")
        await client.send("40/custom,")
        await client.packet()
        await client.send("41/custom,", '42["message","still"]')
        assert await client.packet() == '42["message-back","still"]'

    async def test_the_server_disconnects_a_client(self, engine: Running) -> None:
        client = await engine.connected("websocket")
        await engine.server.disconnect(engine.log[0][1])
        assert await client.packet() == "41"
        assert engine.log[-1][2] == "server disconnect"

    async def test_rooms_session_and_environ_are_python_socketios(self, engine: Running) -> None:
        await engine.connected("websocket")
        server, sid = engine.server, engine.log[0][1]
        await server.enter_room(sid, "a")
        assert set(server.rooms(sid)) == {sid, "a"}
        async with server.session(sid) as session:
            session["name"] = "x"
        assert (await server.get_session(sid))["name"] == "x"
        environ = server.get_environ(sid)
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["QUERY_STRING"] == "EIO=4&transport=websocket"
        assert "aiohttp" in environ["HTTP_USER_AGENT"]
        await server.close_room("a")
        assert server.rooms(sid) == [sid]
        with pytest.raises(ValueError, match="not connected"):
            await server.enter_room("nobody", "a")

    async def test_a_failing_handler_is_counted_and_affects_nothing_else(self, start: Start) -> None:
        def setup(server: Server) -> None:
            @server.on("bad")
            async def bad(sid: str) -> None:
                raise RuntimeError("boom")

        engine = await start(setup=setup)
        client = await engine.connected("websocket")
        await client.send('42["bad"]', '42["message",1]')
        assert await client.packet() == '42["message-back",1]'
        assert engine.server.stats().handler_errors == 1


class TestWhatNodeTakesToo:
    @pytest.mark.parametrize("transport", SETTLED)
    @pytest.mark.parametrize("text", ["\\ud800", "a\\udfff", "\\ude00\\ud83d"])
    async def test_a_lone_surrogate_is_data(self, engine: Running, transport: str, text: str) -> None:
        client = await engine.connected(transport)
        await client.send(f'42["message","{text}",12345678901234567890123,1.5]')
        assert await client.packet() == f'42["message-back","{text}",1.2345678901234568e+22,1.5]'
        await client.send(f'427["message-with-ack",{{"{text}":1}}]')
        assert await client.packet() == f'437[{{"{text}":1}}]'
        await client.send(f'42["{text}"]', '42["message",1]')
        assert await client.packet() == '42["message-back",1]'

    @pytest.mark.parametrize(
        "packet", ['42["message","\\ud800",NaN]', '42["message","\\ud800",01]', '42["message","\\ud8"]']
    )
    async def test_what_is_no_json_is_none_beside_a_surrogate_either(self, engine: Running, packet: str) -> None:
        client = await engine.connected("websocket")
        await client.send(packet)
        await client.until_closed()
        assert client.close_code == 1008

    @pytest.mark.parametrize("number", ["7", "7.0"])
    async def test_a_number_as_name(self, start: Start, number: str) -> None:
        def setup(server: Server) -> None:
            @server.on("7")
            async def seven(sid: str, value: int) -> int:
                return value + 1

        engine = await start(setup=setup)
        client = await engine.connected("websocket")
        await client.send(f"421[{number},4]")
        assert await client.packet() == "431[5]"

    @pytest.mark.parametrize("transport", SETTLED)
    async def test_joining_again_while_the_disconnect_handler_runs(self, start: Start, transport: str) -> None:
        leaving, gate = asyncio.Event(), asyncio.Event()

        def setup(server: Server) -> None:
            @server.on("connect", namespace="/custom")
            async def connect(sid: str, environ: Any, auth: Any) -> None:
                await server.enter_room(sid, "all", namespace="/custom")

            @server.on("disconnect", namespace="/custom")
            async def disconnect(sid: str, reason: str) -> None:
                leaving.set()
                await gate.wait()

        engine = await start(setup=setup, ping_interval=25)
        client = await engine.connected(transport)
        await client.send("40/custom,")
        first = await client.packet()
        await client.send("41/custom,")
        await asyncio.wait_for(leaving.wait(), PATIENCE)
        await client.send("40/custom,")
        second = str(await client.packet())
        assert second.startswith('40/custom,{"sid":"')
        assert second != first
        await engine.server.emit("n", 1, room="all", namespace="/custom")
        gate.set()
        await engine.until(lambda: len(engine.server.manager.members["/custom"]) == 1)
        await engine.server.emit("n", 2, room="all", namespace="/custom")
        assert [await client.packet(), await client.packet()] == ['42/custom,["n",1]', '42/custom,["n",2]']


BEFORE_CONNECT = ['42["message",1]', "41", "43[1]", "4abc", "49", "4", "42", "x"]
AFTER_CONNECT: dict[str, list[str | bytes]] = {
    "unknown type": ["4abc"],
    "type nine": ["49"],
    "no type": ["4"],
    "object payload": ["42{}"],
    "empty array": ["42[]"],
    "no payload": ["42"],
    "number payload": ["421"],
    "truth value as name": ["42[true]"],
    "reserved name": ['42["disconnect"]'],
    "ack id not a number": ['42abc["message-with-ack",1]'],
    "ack id of thousands of digits": ["42" + "9" * 5000 + '["message-with-ack",1]'],
    "truncated JSON": ['42["message",{"a":'],
    "not JSON": ["42[NaN]"],
    "deep JSON": ['42["message",' + "[" * 5000 + "]" * 5000 + "]"],
    "thirty-three deep": ['42["message",' + "[" * 33 + "]" * 33 + "]"],
    "text where an attachment is due": ['451-["message",{"_placeholder":true,"num":0}]', '42["message",1]'],
    "attachment that nobody announced": [b"\1\2\3"],
    "absurd attachment count": ['45999999999-["message"]'],
    "eleven attachments": ['4511-["message"]'],
    "zero attachments": ['450-["message",1]'],
    "no attachment count": ['45["message"]'],
    "placeholder out of range": ['451-["message",{"_placeholder":true,"num":1}]'],
    "negative placeholder": ['451-["message",{"_placeholder":true,"num":-1}]'],
    "placeholder with a text index": ['451-["message",{"_placeholder":true,"num":"0"}]'],
    "placeholder with a truth value": ['451-["message",{"_placeholder":true,"num":true}]'],
    "ack without id": ["43[1]"],
    "ack without array": ["431{}"],
    "connect error": ['44{"message":"x"}'],
    "connect with an array": ["40/custom,[]"],
    "event to a namespace not connected to": ['42/custom,["message",1]'],
    "disconnect from a namespace not connected to": ["41/custom,"],
}


@pytest.mark.parametrize("transport", EVERY)
@pytest.mark.parametrize("packet", BEFORE_CONNECT)
async def test_closed_at_once_before_connect(start: Start, transport: str, packet: str) -> None:
    engine = await start(connect_timeout=60)
    client = await engine.client(transport)
    await client.send(packet)
    await client.until_closed()
    assert engine.server.stats().clients == 0
    assert engine.server.stats().protocol_errors == 1
    assert engine.log == []


@pytest.mark.parametrize("transport", SETTLED)
@pytest.mark.parametrize("offence", AFTER_CONNECT)
async def test_closed_at_once_after_connect(start: Start, transport: str, offence: str) -> None:
    engine = await start()
    client = await engine.connected(transport)
    for packet in AFTER_CONNECT[offence]:
        await client.send(packet)
    await client.until_closed()
    assert engine.server.stats().clients == 0
    assert engine.server.stats().protocol_errors == 1
    await engine.until(lambda: len(engine.log) == 2)
    assert engine.log[1][2] == "transport error"
    assert client.pings <= 3, "closed for the offence, not for a timeout"
