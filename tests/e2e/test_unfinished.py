"""Clients that connect and never send a whole request, against a real server: they cost nobody else anything."""

import asyncio
import re
from contextlib import AsyncExitStack, suppress

import aiohttp
import pytest

from tests.support.clients import listening
from tests.support.feeds import event_stream, plain_socket
from tests.support.server import FAST, ServerProcess, upstream_env

DESCRIPTORS = 256
LIMITED = ("sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh")
SILENT, HALF = 300, 700
HALF_HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
ADMIN = "admin-key-of-this-test"
HALF_BODY = (
    f"POST /api/circuit-breaker/reset HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {ADMIN}\r\n"
    "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
).encode()


@pytest.fixture
async def limited(tmp_path, simulator):
    """A server with few descriptors and production's own times."""
    env = {"ADMIN_API_KEY": ADMIN, "RATE_LIMIT_PER_MINUTE": "0"}
    server = ServerProcess(tmp_path, *LIMITED, **FAST | upstream_env(simulator, simulator.credentials()) | env)
    await server.start()
    yield server
    await server.close()


async def metric(server, name):
    async with aiohttp.ClientSession() as session, session.get(server.url + "/metrics") as answer:
        text = await answer.text()
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


async def silent(server, data=b""):
    """A connection that sends this and no more; None where the server closed it at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with suppress(ConnectionError):
        writer.write(data)
        await writer.drain()
    return reader, writer


async def ends(connection):
    """Wait for the server to close it; what it answered before."""
    reader, writer = connection
    answer = b""
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            answer += part
    writer.close()
    return answer


@pytest.mark.timeout(240)
async def test_silent_connections_and_partial_requests_stop_no_other_client(limited, simulator):
    async with AsyncExitStack() as stack:
        io = await stack.enter_async_context(listening(limited.url))
        plain = await stack.enter_async_context(plain_socket(limited.url))
        events = await stack.enter_async_context(event_stream(limited.url))
        await io.io.call("subscribe_pnl")
        await events.read()
        await plain.read()
        half_body = await silent(limited, HALF_BODY)
        hung = [await silent(limited) for _ in range(SILENT)]
        hung += [await silent(limited, HALF_HEAD) for _ in range(HALF)]
        # While they hang, whoever sends a request is answered, and those who are connected get what is new.
        assert (await limited.get("/health"))["status"] == "healthy"
        for _ in range(3):
            simulator.step()
            await asyncio.gather(io.next("pnl_update"), plain.read(), events.read())
        async with listening(limited.url) as newcomer:
            assert newcomer.io.connected
        # Production's deadline is 10 s of the server's own clock, which stands still while the process gets no CPU.
        async with asyncio.timeout(100):
            answers = await asyncio.gather(*map(ends, hung))
            refused = await ends(half_body)
        assert set(answers) == {b""}
        assert refused.startswith(b"HTTP/1.1 408 ")
        assert (await limited.get("/api/pnl/current"))["success"] is True
        assert io.io.connected
        shed, late = [await metric(limited, f"pnl_{name}_total") for name in ("connections_shed", "head_timeouts")]
        assert shed + late == len(hung)
    await limited.until("/api/health", lambda a: a["connectedClients"] == 0)
    assert "Traceback" not in limited.log
    assert "Too many open files" not in limited.log
