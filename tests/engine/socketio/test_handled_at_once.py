"""Packets are handled in the turn of the loop in which they are read, where their handlers need not wait."""

import asyncio
import base64
import os
import struct
from contextvars import ContextVar
from typing import Any

from pnl_backend.engine import EngineConfig, Server
from pnl_backend.engine.limits import AT_ONCE
from tests.engine.conftest import Start
from tests.engine.net.test_unfinished import UPGRADE, dial
from tests.waiting import PATIENCE, until

USER: ContextVar[str] = ContextVar("USER", default="nobody")


def text(packet: str) -> bytes:
    """A packet as a client's frame."""
    payload, mask = packet.encode(), os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return struct.pack("!BB", 0x81, 0x80 | len(payload)) + mask + masked


def in_task() -> bool:
    return asyncio.current_task() is not None


async def test_an_event_right_behind_its_connect(start: Start) -> None:
    def setup(server: Server) -> None:
        server.on("connect", lambda sid, *_: None)
        server.on("question", lambda sid, *arguments: arguments)

    engine = await start(setup=setup)
    reader, writer = await dial(engine, UPGRADE + text("40") + text('421["question","answer"]'))
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b'431["answer"]')
    assert engine.server.stats().protocol_errors == 0
    writer.close()


async def test_more_of_one_read_are_tasks(start: Start) -> None:
    tasks: list[bool] = []
    order: list[int] = []

    def take(_: str, number: int) -> None:
        order.append(number)
        tasks.append(in_task())

    engine = await start(setup=lambda server: server.on("take", take))
    client = await engine.connected("websocket")
    count = 3 * EngineConfig().max_pending_handlers
    connection: Any = next(iter(engine.server.eio.shared.open))
    at_once: list[int] = []

    def read() -> None:
        connection.feed(b"".join(text(f'42["take",{number}]') for number in range(count)))
        at_once.extend(order)

    asyncio.get_running_loop().call_soon(read)
    await until(lambda: len(order) == count)
    assert order == list(range(count))
    assert len(at_once) == AT_ONCE
    assert tasks == [False] * AT_ONCE + [True] * (count - AT_ONCE)
    await client.leave()


async def test_none_overtakes_one_that_waits(start: Start) -> None:
    order: list[str] = []
    go_on = asyncio.Event()

    async def slow(_: str) -> None:
        await go_on.wait()
        order.append("slow")

    def setup(server: Server) -> None:
        server.on("slow", slow)
        server.on("quick", lambda _: order.append(f"quick {in_task()}"))

    engine = await start(setup=setup)
    client = await engine.connected("websocket")
    await client.send('42["slow"]', '42["quick"]')
    await until(lambda: bool(order))
    assert order == ["quick True"]  # a task as ever: handlers of one client may run beside each other
    go_on.set()
    await until(lambda: len(order) == 2)
    await client.leave()


async def test_an_async_handler_runs_in_a_task_from_its_first_step(start: Start) -> None:
    seen: list[bool] = []

    async def handler(sid: str, *_: Any) -> dict[str, bool]:
        seen.append(in_task())
        async with asyncio.timeout(PATIENCE):  # needs a task
            await asyncio.sleep(0)
        return {"ok": True}

    def setup(server: Server) -> None:
        server.on("connect", handler)
        server.on("ask", handler)

    engine = await start(setup=setup, options={"authenticate": handler_of_keys(seen)})
    client = await engine.connected("websocket")
    await client.send('421["ask"]')
    assert await client.packet() == '431[{"ok":true}]'
    assert seen == [True, True, True]
    await client.leave()


def handler_of_keys(seen: list[bool]) -> Any:
    async def authenticate(*_: Any) -> str:
        seen.append(in_task())
        async with asyncio.timeout(PATIENCE):
            await asyncio.sleep(0)
        return "key"

    return authenticate


async def test_context_variables_stay_with_their_client(start: Start) -> None:
    seen: dict[str, str] = {}

    def authenticate(_: Any, auth: Any) -> str:
        seen[auth["name"]] = USER.get()
        USER.set(auth["name"])
        return "key"

    def connected(sid: str, environ: Any, auth: Any) -> None:
        seen[f"{auth['name']}, connected"] = USER.get()

    engine = await start(setup=lambda server: server.on("connect", connected), options={"authenticate": authenticate})
    for name in ("one", "two"):
        client = await engine.client("websocket")
        await client.send(f'40{{"name":"{name}"}}')
        assert "sid" in str(await client.packet())
        await client.leave()
    assert seen == {"one": "nobody", "one, connected": "one", "two": "nobody", "two, connected": "two"}


async def test_a_plain_handler_that_fails_is_counted_and_harmless(start: Start) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("on purpose")

    def setup(server: Server) -> None:
        server.on("fail", fail)
        server.on("ask", lambda *_: "answer")

    engine = await start(setup=setup)
    client = await engine.connected("websocket")
    await client.send('42["fail"]', '421["ask"]')
    assert await client.packet() == '431["answer"]'
    assert engine.server.stats().handler_errors == 1
    await client.leave()


async def test_ids_differ_and_are_long_enough_not_to_be_guessed(start: Start) -> None:
    engine = await start()
    ids = [engine.server.eio.generate_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {len(base64.urlsafe_b64decode(sid)) for sid in ids} == {15}
