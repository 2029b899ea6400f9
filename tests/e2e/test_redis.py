"""Redis stopped and started under load: clients notice nothing, the status tells."""

import asyncio

import aiohttp

from tests.support.clients import listening
from tests.support.server import FAST, ServerProcess, upstream_env


def redis_is(state):
    return lambda answer: answer["services"]["cache"]["redis"] == state


async def test_redis_goes_and_comes_back_under_load(tmp_path, simulator, redis_server):
    server = ServerProcess(
        tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()), REDIS_URL=redis_server.url
    )
    await server.start()
    failures: list[object] = []
    stop = asyncio.Event()

    async def load() -> None:
        async with aiohttp.ClientSession() as session:
            while not stop.is_set():
                for path in ("/api/pnl/current", "/api/pnl/breakdown", "/api/cache/stats"):
                    async with session.get(server.url + path) as answer:
                        if answer.status != 200:
                            failures.append((path, answer.status, await answer.text()))

    try:
        loads = [asyncio.create_task(load()) for _ in range(3)]
        async with listening(server.url) as client:
            await client.io.call("subscribe_pnl")
            for _ in range(2):
                await server.until("/health", redis_is("connected"), timeout=5)
                await redis_server.stop()
                await server.until("/health", redis_is("down"), timeout=5)
                await client.next("pnl_update")
                await redis_server.start()
            await server.until("/health", redis_is("connected"), timeout=10)
            stop.set()
            await asyncio.gather(*loads)
            seqs = [update["data"]["seq"] for update in client.of("pnl_update")]
            assert not client.of("error")
            assert not client.of("stream_error")
        assert failures == []
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        stats = (await server.get("/api/cache/stats"))["data"]
        assert stats["tiers"]["redis"]["hits"] + stats["tiers"]["redis"]["misses"] + stats["sets"] > 0
    finally:
        stop.set()
        await server.close()


async def test_the_server_starts_and_runs_without_a_redis_that_is_configured(tmp_path, simulator, redis_server):
    await redis_server.stop()
    server = ServerProcess(
        tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()), REDIS_URL=redis_server.url
    )
    await server.start()
    try:
        health = await server.get("/health")
        assert health["status"] == "healthy"
        assert health["services"]["cache"]["redis"] == "down"
    finally:
        await server.close()
