"""A server with every kind of secret set, used and misused in every way: none of them is in any of its output."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
import socketio

from pnl_backend.simulator import Fault, Simulator
from tests.redis_server import RedisServer
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import until

READ_KEY = "read/key+of=the&test-0123456789abcdefghijklmnop"
ADMIN_KEY = "admin-key-of-the-test-0123456789abcdefghijkl"
WRONG_KEY = "wrong-key-that-somebody-types-0123456789"
REDIS_PASSWORD = "redis-password-of-the-test"


@pytest.fixture
async def simulator():
    async with Simulator(step_interval=None, kalshi_rate=None) as played:
        yield played


async def test_no_secret_is_in_any_output(tmp_path: Path, simulator: Simulator, redis_server: RedisServer) -> None:
    await redis_server.stop()
    await redis_server.start("--requirepass", REDIS_PASSWORD)
    credentials = simulator.credentials()
    server = ServerProcess(
        tmp_path,
        **FAST,
        **upstream_env(simulator, credentials),
        API_KEY=READ_KEY,
        ADMIN_API_KEY=ADMIN_KEY,
        REDIS_URL=f"redis://:{REDIS_PASSWORD}@127.0.0.1:{redis_server.port}/0",
        LOG_LEVEL="trace",
    )
    heard: list[str] = []
    await server.start()
    try:
        await use_and_misuse(server, heard)
        for upstream in ("kalshi", "anthropic", "johns"):
            simulator.set_fault(upstream, Fault.status(401))
        await redis_server.stop()
        await until(lambda: server.log.count("circuit breaker open") >= 3)
        await use_and_misuse(server, heard)
        assert await server.stop() == 0
    finally:
        await server.close()
    heard.append(server.log)
    heard += [path.read_text() for path in (tmp_path / "logs").iterdir()]
    said = "\n".join(heard)
    secrets = {
        "read key": READ_KEY,
        "admin key": ADMIN_KEY,
        "wrong key": WRONG_KEY,
        "redis": REDIS_PASSWORD,
        "anthropic": credentials.anthropic_key,
        "revenue": credentials.revenue_token,
        **{
            f"pem line {number}": line
            for number, line in enumerate(credentials.kalshi_private_key_pem.splitlines())
            if not line.startswith("-----")
        },
    }
    found = {
        name
        for name, secret in secrets.items()
        for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("="))
        if form in said
    }
    assert found == set()
    # The sieve was not empty: all of these places had something to say.
    for told in ("GET /api/pnl/current?apiKey=***", "circuit breaker open", "Redis is down", "pnl_clients", "Invalid"):
        assert told in said, told


async def use_and_misuse(server: ServerProcess, heard: list[str]) -> None:
    """Every way to hand a key over, right and wrong, and every page that tells about the server itself."""
    async with aiohttp.ClientSession(server.url) as session:
        for key in (READ_KEY, WRONG_KEY, ADMIN_KEY):
            ways = [({"X-API-Key": key}, {}), ({"Authorization": f"Bearer {key}"}, {}), ({}, {"apiKey": key})]
            paths = ["/api/pnl/current", "/metrics", "/api/circuit-breaker/status"]
            if key != WRONG_KEY:  # a text that is nobody's key is no secret where no key belongs
                ways.append(({"Referer": f"http://old/?apiKey={key}", "User-Agent": key}, {}))
                paths.append(f"/none/{quote(key, safe='')}")
            for headers, params in ways:
                for path in paths:
                    async with session.get(path, headers=headers, params=params) as answer:
                        heard.append(await answer.text())
            async with session.post("/api/circuit-breaker/reset", json={"service": key}, params={"apiKey": key}):
                pass
            async with session.get("/api/pnl/stream", params={"apiKey": key}) as stream:
                heard.append((await stream.content.readline()).decode())
        for path in ("/health", "/api/health", "/openapi.json", "/", "/docs"):
            async with session.get(path, params={"apiKey": READ_KEY}) as answer:
                heard.append(await answer.text())
    for key in (READ_KEY, WRONG_KEY):
        for transport in ("websocket", "polling"):
            client = socketio.AsyncClient(reconnection=False)
            try:
                await client.connect(f"{server.url}?apiKey={quote(key)}", auth={"apiKey": key}, transports=[transport])
                await client.emit(key, {"apiKey": key})
            except socketio.exceptions.ConnectionError as error:
                heard.append(str(error))
            finally:
                await client.disconnect()
