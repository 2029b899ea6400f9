"""What waits for a client: 256 live events or 1 MiB, taken 16 packets a poll; one beyond cuts the client."""

import asyncio
import json
from typing import Any

import pytest

from pnl_backend.engine import closes
from pnl_backend.engine.limits import MAX_PAYLOAD_PACKETS
from pnl_backend.engine.net.messages import SEPARATOR
from tests.engine.client import Closed
from tests.engine.conftest import Start
from tests.engine.socketio.test_fanout import stuck
from tests.waiting import PATIENCE

EVENTS = 256
BYTES = 1024 * 1024
PACKETS = 16
"""python-engineio's client refuses a payload of more packets."""
AROUND = len('42["e",""]') + 10
"""Bytes around one long text argument: the event, and the header of its frame."""


def arguments(packets: list[Any]) -> list[Any]:
    return [json.loads(packet[2:])[1] for packet in packets]


async def polled(client: Any, count: int) -> list[Any]:
    """So many packets, by polls none of which is too large."""
    packets: list[Any] = []
    while len(packets) < count:
        status, body = await client.poll()
        assert status == 200
        parts = body.split(SEPARATOR)
        assert len(parts) <= PACKETS
        packets += parts
    return packets


async def test_a_poll_takes_sixteen_packets_and_the_next_one_the_rest(start: Start) -> None:
    assert MAX_PAYLOAD_PACKETS == PACKETS
    engine = await start(ping_interval=60)
    client = await engine.connected("polling")
    for number in range(40):
        await engine.server.emit("e", number)
    sizes = []
    while sum(sizes) < 40:
        sizes.append(len((await client.poll())[1].split(SEPARATOR)))
    assert sizes == [16, 16, 8]


async def test_a_full_queue_is_kept_whole(start: Start) -> None:
    engine = await start(ping_interval=60)
    client = await engine.connected("polling")
    for number in range(EVENTS):
        await engine.server.emit("e", number)
    assert arguments(await polled(client, EVENTS)) == list(range(EVENTS))
    assert engine.server.stats().slow_disconnects == 0


async def test_one_event_more_cuts(start: Start) -> None:
    engine = await start(ping_interval=60)
    client = await engine.connected("polling")
    for number in range(EVENTS + 1):
        await engine.server.emit("e", number)
    await engine.until(lambda: engine.server.stats().clients == 0)
    assert engine.server.stats().slow_disconnects == 1
    assert (await client.poll())[0] == 400


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("over", [0, 1])
async def test_a_queue_of_one_mebibyte_is_kept_and_one_byte_more_cuts(start: Start, over: int, parts: int) -> None:
    engine = await start(ping_interval=60)
    client = await engine.connected("polling")
    texts = ["x" * (BYTES // parts - AROUND) for _ in range(parts)]
    texts[-1] += "x" * over
    for text in texts:
        await engine.server.emit("e", text)
    if over:
        await engine.until(lambda: engine.server.stats().clients == 0)
    else:
        assert arguments(await polled(client, parts)) == texts
    assert engine.server.stats().slow_disconnects == over


@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize("over", [0, 1])
async def test_a_websocket_that_is_not_read_holds_as_many(start: Start, front: bool, over: int) -> None:
    engine = await start(front=front, ping_interval=60, slow_client_timeout=30)
    sock = stuck(engine)
    await engine.until(lambda: len(engine.log) == 1)
    (client,) = engine.server.clients.values()
    connection = client.connection
    assert connection is not None
    while not connection.lags():
        await engine.server.emit("filling", "x" * 20_000)
    waiting = len(connection.outbox.messages) if connection.outbox is not None else 0
    for number in range(EVENTS - waiting + over):
        await engine.server.emit("e", number)
    if over:
        await engine.until(lambda: engine.server.stats().clients == 0)
        assert engine.server.stats().slow_disconnects == 1
    else:
        reader, writer = await asyncio.open_connection(sock=sock)
        received = b""
        while f'["e",{EVENTS - waiting - 1}]'.encode() not in received:
            received += await asyncio.wait_for(reader.read(65536), PATIENCE)
        assert received.count(b'["e",') == EVENTS - waiting
        assert engine.server.stats().slow_disconnects == 0
        writer.close()


async def test_what_follows_an_overflow_in_the_same_turn_is_not_sent_as_if_nothing_was_lost(start: Start) -> None:
    engine = await start(ping_interval=60)
    client = await engine.connected("polling")
    poll = asyncio.create_task(client.poll())
    (session,) = engine.server.clients.values()
    await engine.until(lambda: session.poll is not None)
    message = engine.server.manager.encode("e", 1, "/")
    for _ in range(EVENTS + 100):
        session.send(message)
    assert '"e"' not in (await poll)[1]
    assert (await client.poll())[0] == 400
    assert engine.server.stats().slow_disconnects == 1


@pytest.mark.parametrize("polling", [True, False])
async def test_a_close_comes_behind_all_that_waits(start: Start, polling: bool) -> None:
    engine = await start(ping_interval=60)
    client = await engine.connected("polling")
    (session,) = engine.server.clients.values()
    poll = None
    if polling:
        poll = asyncio.create_task(client.poll())
        await engine.until(lambda: session.poll is not None)
    for number in range(20):
        session.send(engine.server.manager.encode("e", number, "/"))
    session.depart(closes.SERVER_DISCONNECT)
    if poll is not None:
        client.waiting = (await poll)[1].split(SEPARATOR)
        assert len(client.waiting) == PACKETS
    assert arguments([await client.packet() for _ in range(20)]) == list(range(20))
    with pytest.raises(Closed):
        await client.packet()
    assert engine.server.stats().clients == 0


async def test_attachments_are_split_over_polls(start: Start) -> None:
    engine = await start(ping_interval=60)
    client = await engine.connected("polling")
    blobs = [bytes([number]) for number in range(20)]
    await engine.server.emit("text", 1)
    await engine.server.emit("blobs", blobs)
    await engine.server.emit("text", 2)
    packets = await polled(client, 23)
    assert packets[0].startswith("42")
    assert packets[1].startswith("4520-")
    assert [packet[0] for packet in packets[2:22]] == ["b"] * 20
    assert len(set(packets[2:22])) == 20
    assert arguments(packets[22:]) == [2]
