"""Connections that wait for their peer's close frame count under the caps until the socket is closed."""

import asyncio

import aiohttp
import pytest

from tests.engine.client import PollingClient
from tests.engine.conftest import Running, Start
from tests.engine.net.test_closing import BAD, UPGRADE
from tests.waiting import PATIENCE, until

CAP = 3


async def breaking(engine: Running, query: str = "") -> asyncio.StreamWriter:
    """A bare client that breaks the protocol, gets our close frame, and does not answer it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(UPGRADE.replace(b" HTTP", query.encode() + b" HTTP", 1) + BAD)
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"HTTP/1.1 101")
        await reader.readuntil(b"\x88")
    return writer


@pytest.mark.parametrize(("cap", "status"), [("max_connections", 503), ("max_connections_per_ip", 429)])
async def test_at_the_edge(start: Start, cap: str, status: int) -> None:
    engine = await start(**{cap: CAP})
    writers = [await breaking(engine) for _ in range(CAP)]
    assert engine.server.stats().clients == 0
    assert len(engine.server.eio.shared.open) == CAP
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await engine.client("websocket")
    assert refused.value.status == status
    writers[0].close()
    await until(lambda: len(engine.server.eio.shared.open) == CAP - 1)
    client = await engine.client("websocket")
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await engine.client("websocket")
    await client.leave()
    for writer in writers:
        writer.close()
    await until(lambda: engine.server.eio.admission.closing == 0)
    for _ in range(CAP):
        await engine.client("websocket")


async def test_further_websockets_of_one_session(start: Start) -> None:
    """Each is closed as a second one, or as a probe that breaks the protocol; none of them is a client."""
    engine = await start(max_connections_per_ip=CAP, ping_interval=25)
    client = await PollingClient(engine.http, engine.base).open()
    writers = [await breaking(engine, f"&sid={client.handshake['sid']}") for _ in range(CAP)]
    with pytest.raises(asyncio.IncompleteReadError):
        await breaking(engine, f"&sid={client.handshake['sid']}")
    assert await client.post("40") == (200, "ok")
    for writer in writers:
        writer.close()
    await until(lambda: engine.server.eio.admission.closing == 0)
    await engine.client("upgrading")
