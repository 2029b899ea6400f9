"""Redis stopped and started under load: clients are not affected, the status shows it."""

import asyncio
import json

import aiohttp
import redis.asyncio

from tests.support.clients import listening
from tests.support.server import FAST, ServerProcess, upstream_env
from tests.waiting import PATIENCE


def redis_is(state):
    return lambda answer: answer["services"]["cache"]["redis"] == state


async def test_redis_fails_and_recovers_under_load(tmp_path, simulator, redis_server):
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


async def test_what_rest_serves_comes_from_memory_and_is_in_redis_as_json(tmp_path, simulator, redis_server):
    env = FAST | upstream_env(simulator, simulator.credentials()) | {"UPDATE_INTERVAL_MS": "2000"}
    server = ServerProcess(tmp_path, **env, REDIS_URL=redis_server.url)
    await server.start()
    other = redis.asyncio.from_url(redis_server.url)
    try:
        await server.until(
            "/api/pnl/current", lambda a: all(s["tier"] == "live" for s in a["data"]["sources"].values())
        )
        for _ in range(100):
            for path in ("/api/pnl/current", "/api/pnl/breakdown", "/api/pnl/history?resolution=1m"):
                await server.get(path)
        keys = (await server.get("/api/cache/stats"))["data"]["keys"]
        for family in ("current", "breakdown", "1m"):
            counted = keys[family]
            assert counted["hits"] > counted["misses"], (family, counted)
        async with asyncio.timeout(PATIENCE):
            while (held := await other.get("pnl:current")) is None:  # noqa: ASYNC110 - a key in Redis sets no event
                await asyncio.sleep(0.05)
        shown = json.loads(held)
        served = (await server.get("/api/pnl/current"))["data"]
        assert shown.keys() == served.keys()
        assert shown["epoch"] == served["epoch"]
        assert 0 < await other.ttl("pnl:current") <= 30

        async def hours():
            return [key async for key in other.scan_iter("pnl:1m:*")]

        await server.until("/api/pnl/history?resolution=1m", lambda a: a["data"]["count"] > 0)
        async with asyncio.timeout(PATIENCE):
            while not (found := await hours()):  # noqa: ASYNC110 - a key in Redis sets no event
                await asyncio.sleep(0.05)
        hour = max(found)
        assert json.loads(await other.get(hour))[-1].keys() >= {"timestamp", "netPnL", "open", "high", "low", "close"}
        assert 0 < await other.ttl(hour) <= 300
    finally:
        await other.aclose()
        await server.close()
