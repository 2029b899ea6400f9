"""A CONNECT to a namespace that the client is in, or is joining: the newest answer is in force on both sides."""

import asyncio
from typing import Any

import pytest

from pnl_backend.engine import Server
from tests.engine.conftest import Running, Start
from tests.support.node import needs_node, run_script
from tests.waiting import PATIENCE

SETTLED = ["polling", "websocket", "upgraded"]


def sid_of(answer: str | bytes) -> str:
    return str(answer).partition('"sid":"')[2].partition('"')[0]


@pytest.mark.parametrize("transport", SETTLED)
async def test_while_connected(start: Start, transport: str) -> None:
    gate, asked = asyncio.Event(), asyncio.Event()

    def setup(server: Server) -> None:
        @server.on("connect", namespace="/gated")
        async def connect(sid: str, environ: Any, auth: Any) -> None:
            await server.enter_room(sid, "all", namespace="/gated")
            if auth:
                asked.set()
                await gate.wait()

        @server.on("who", namespace="/gated")
        async def who(sid: str) -> str:
            return sid

    engine = await start(setup=setup, ping_interval=25)
    client = await engine.connected(transport)
    await client.send("40/gated,")
    first = sid_of(await client.packet())
    await client.send('40/gated,{"again":1}')
    await asyncio.wait_for(asked.wait(), PATIENCE)
    await client.send('42/gated,1["who"]')
    assert await client.packet() == f'43/gated,1["{first}"]', "the former member goes on until the answer"
    await engine.server.emit("n", 1, room="all", namespace="/gated")
    assert await client.packet() == '42/gated,["n",1]'
    gate.set()
    second = sid_of(await client.packet())
    assert second not in ("", first)
    assert await client.packet() == '42/gated,["n",1]', "held for the new member behind its answer"
    await engine.until(lambda: list(engine.server.manager.members["/gated"]) == [second])
    await engine.server.emit("n", 2, room="all", namespace="/gated")
    assert await client.packet() == '42/gated,["n",2]'
    await client.send('42/gated,2["who"]', '42["message",3]')
    assert await client.packet() == f'43/gated,2["{second}"]'
    assert await client.packet() == '42["message-back",3]', "once, and the other namespace goes on"


@pytest.mark.parametrize("transport", SETTLED)
async def test_the_disconnect_handler_of_the_former_runs(engine: Running, transport: str) -> None:
    client = await engine.connected(transport)
    await client.send("40")
    await client.packet()
    await engine.until(lambda: len(engine.log) == 3)
    assert [entry[0] for entry in engine.log] == ["connect", "connect", "disconnect"]
    assert engine.log[2][1:] == (engine.log[0][1], "client disconnect")
    assert engine.server.stats().clients == 1
    assert engine.server.stats().unauthenticated == 0
    await client.leave()


async def test_what_handlers_of_the_former_still_send_arrives(start: Start) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    def setup(server: Server) -> None:
        @server.on("work", namespace="/custom")
        async def work(sid: str) -> int:
            begun.set()
            await gate.wait()
            return 7

    engine = await start(setup=setup, ping_interval=25)
    client = await engine.connected("websocket", "/custom")
    await client.send('42/custom,5["work"]')
    await asyncio.wait_for(begun.wait(), PATIENCE)
    await client.send("40/custom,", '42/custom,["message",1]')
    assert str(await client.packet()).startswith('40/custom,{"sid"')
    assert await client.packet() == '42/custom,["message-back",1]'
    gate.set()
    assert await client.packet() == "43/custom,5[7]"


async def test_many_at_once(engine: Running) -> None:
    client = await engine.connected("websocket")
    await client.send(*["40/custom,"] * 50)
    answers = [sid_of(await client.packet()) for _ in range(50)]
    assert len(set(answers)) == 50
    await engine.until(lambda: list(engine.server.manager.members["/custom"]) == answers[-1:])
    await client.send('42/custom,["message",1]')
    assert await client.packet() == '42/custom,["message-back",1]'
    await client.leave()
    await engine.until(lambda: not engine.server.manager.members["/custom"])


async def test_one_that_is_refused_leaves_the_former_in(start: Start) -> None:
    def setup(server: Server) -> None:
        @server.on("connect", namespace="/custom")
        async def connect(sid: str, environ: Any, auth: Any) -> bool:
            return not auth

    engine = await start(setup=setup)
    client = await engine.connected("websocket", "/custom")
    await client.send('40/custom,{"again":1}')
    assert str(await client.packet()).startswith("44/custom,")
    await client.send('42/custom,["message",1]')
    assert await client.packet() == '42/custom,["message-back",1]'


SCRIPT = """
import { io } from "socket.io-client";
const [url] = process.argv.slice(1);
const wait = (socket, event) => new Promise((resolve) => socket.once(event, resolve));
for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]])
  for (const delay of [null, 0, 1, 5]) {
    const main = io(url, { transports, forceNew: true });
    await wait(main, "connect");
    let lost = false;
    main.on("disconnect", () => { lost = true; });
    const custom = main.io.socket("/custom");
    custom.disconnect();
    if (delay !== null) await new Promise((resolve) => setTimeout(resolve, delay));
    custom.connect();
    custom.emit("message", delay);
    await wait(custom, "message-back");
    main.emit("message", "still");
    await wait(main, "message-back");
    console.log(JSON.stringify([transports.join(), delay, lost]));
    main.off("disconnect");
    custom.disconnect();
    main.disconnect();
  }
process.exit(0);
"""


@needs_node
async def test_the_javascript_client_on_connect_disconnect_connect(start: Start) -> None:
    engine = await start(ping_interval=25)
    seen = await run_script(SCRIPT, f"http://127.0.0.1:{engine.port}")
    assert len(seen) == 12
    assert [line for line in seen if line[2]] == []
