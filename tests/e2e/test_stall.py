"""The server itself stands still for seconds, again and again: no client is dropped for it."""

import asyncio
import signal
from contextlib import AsyncExitStack

import aiohttp
import pytest
from websockets.asyncio.client import connect

from tests.engine.client import PollingClient, WebSocketClient
from tests.support.server import FAST, ServerProcess, upstream_env

CLIENTS = 50
STALL = 4.0
STALLS = 3
PINGS = {"PING_INTERVAL_MS": "1000", "PING_TIMEOUT_MS": "1000", "CONNECT_TIMEOUT_MS": "3000"}


@pytest.fixture
async def server(tmp_path, simulator):
    process = ServerProcess(tmp_path, **FAST | upstream_env(simulator, simulator.credentials()) | PINGS)
    await process.start()
    yield process
    await process.close()


async def plain(stack, server):
    """A plain WebSocket, which answers the server's pings and sends none."""
    socket = await stack.enter_async_context(
        connect(server.url.replace("http", "ws") + "/ws", ping_interval=None, max_queue=None)
    )
    return asyncio.create_task(read_all(socket))


async def read_all(socket):
    async for _ in socket:
        pass


async def engine_io(stack, server, http, kind):
    client = await kind(http, server.url + "/socket.io/").open()
    await client.send("40/pnl,")
    return asyncio.create_task(client.until_closed())


@pytest.mark.slow(24)
async def test_stalls_of_the_server_disconnect_no_client(server):
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        readers = []
        for number in range(CLIENTS):
            if number % 3 == 0:
                readers.append(await plain(stack, server))
            else:
                readers.append(await engine_io(stack, server, http, (WebSocketClient, PollingClient)[number % 3 - 1]))
        await server.until("/api/health", lambda a: a["connectedClients"] == CLIENTS)
        for _ in range(STALLS):
            server.signal(signal.SIGSTOP)
            await asyncio.sleep(STALL)  # the stall itself: nothing can be waited for
            server.signal(signal.SIGCONT)
            # Past one more ping and its deadline everybody is still there.
            await server.until("/api/health", lambda a: a["connectedClients"] == CLIENTS)
            await asyncio.sleep(2.5)  # interval and timeout: what was wrongly due has expired by then
        assert (await server.get("/api/health"))["connectedClients"] == CLIENTS
        assert [reader for reader in readers if reader.done()] == []
        for reader in readers:
            reader.cancel()
