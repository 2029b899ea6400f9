"""The newest snapshot and its breakdown: from memory, counted, the same in Redis, deleted after a new fact."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from loguru import logger

from pnl_backend.cache.current import TTL, Current
from pnl_backend.cache.tiered import TieredCache, open_cache
from tests.redis_server import RedisServer
from tests.waiting import until

READINGS = {"reading:kalshi", "reading:anthropic", "reading:johns"}


class Newest:
    """The hub, as far as the cache knows it."""

    def __init__(self) -> None:
        self.seq = 0
        self.asked = 0

    def json(self, view: str, /) -> bytes | None:
        self.asked += 1
        return json.dumps({"view": view, "seq": self.seq}).encode() if self.seq else None

    age = b""

    def aged(self, view: str) -> bytes | None:
        """As it was published, or with what a test says of its age."""
        return self.age or None


@pytest.fixture
async def cache(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[TieredCache]:
    opened = await open_cache(redis_url=redis_server.url, sqlite_path=tmp_path / "cache.db", default_ttl=60)
    yield opened
    await opened.close()


async def published(current: Current, newest: Newest) -> None:
    newest.seq += 1
    await current.publish(None)


def held(cache: TieredCache) -> dict[str, int]:
    return {name: counted.hits for name, counted in cache.stats().keys.items() if counted.hits}


async def test_every_request_is_a_hit_from_the_first_snapshot_on(cache: TieredCache) -> None:
    newest = Newest()
    current = Current(cache, newest)
    assert current.json("snapshot") is None
    await published(current, newest)
    newest.asked = 0
    for _ in range(99):
        assert current.json("snapshot") == b'{"view": "snapshot", "seq": 1}'
    assert current.json("breakdown") == b'{"view": "breakdown", "seq": 1}'
    stats = cache.stats()
    assert (newest.asked, stats.hits, stats.misses, stats.hitRate) == (0, 100, 1, "99.01%")
    assert held(cache) == {"current": 99, "breakdown": 1}
    await current.close()


async def test_redis_holds_the_newest_as_plain_json_under_the_documented_key(
    cache: TieredCache, redis_server: RedisServer
) -> None:
    newest = Newest()
    current = Current(cache, newest)
    for _ in range(50):
        await published(current, newest)
    await current.close()
    shown = await redis_cli(redis_server, "GET", "pnl:current")
    assert json.loads(shown) == {"view": "snapshot", "seq": 50}
    assert 0 < int(await redis_cli(redis_server, "TTL", "pnl:current")) <= TTL


async def test_a_fact_invalidates_the_newest_everywhere_and_the_readings_nowhere(
    cache: TieredCache, redis_server: RedisServer
) -> None:
    newest = Newest()
    current = Current(cache, newest)
    await published(current, newest)
    await current.close()
    for key in READINGS:
        await cache.set(key, b"{}", 60)
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]))
    await current.invalidate("fill f-1, f-2")
    logger.remove(sink)
    assert lines == ["cache: fill f-1, f-2 invalidates current, breakdown"]
    assert await redis_cli(redis_server, "GET", "pnl:current") == ""
    assert {key for key in {*READINGS, "current", "breakdown"} if await cache.get(key, stale=False)} == READINGS
    newest.asked = 0
    assert [current.json("snapshot"), newest.asked] == [b'{"view": "snapshot", "seq": 1}', 1]
    assert [current.json("snapshot"), newest.asked] == [b'{"view": "snapshot", "seq": 1}', 1]
    await current.close()


async def test_a_redis_that_hangs_delays_no_publication(cache: TieredCache, redis_server: RedisServer) -> None:
    newest = Newest()
    current = Current(cache, newest)
    redis_server.freeze()
    try:
        for _ in range(20):
            await published(current, newest)
            assert current.json("snapshot") == json.dumps({"view": "snapshot", "seq": newest.seq}).encode()
    finally:
        redis_server.thaw()
    await current.close()
    await until(lambda: cache.health().redis == "connected")
    await published(current, newest)
    await current.close()
    assert json.loads(await redis_cli(redis_server, "GET", "pnl:current"))["seq"] == 21


async def test_an_answer_has_its_age_from_the_cache_or_not(cache: TieredCache) -> None:
    newest = Newest()
    current = Current(cache, newest)
    await published(current, newest)
    newest.age = b"a minute old"
    assert current.json("snapshot") == b"a minute old"
    await current.invalidate("fill f-1")
    assert [current.json("snapshot"), current.json("snapshot")] == [b"a minute old", b"a minute old"]
    await current.close()


async def redis_cli(server: RedisServer, *arguments: str) -> str:
    """What Redis answers to a program that knows nothing of ours."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    parts = [f"${len(part)}\r\n{part}\r\n" for part in arguments]
    writer.write(f"*{len(parts)}\r\n{''.join(parts)}".encode())
    head = (await reader.readline()).decode().strip()
    size = int(head[1:]) if head.startswith("$") else -1
    answer = head[1:] if head.startswith(":") else (await reader.readexactly(size)).decode() if size >= 0 else ""
    writer.close()
    await writer.wait_closed()
    return answer


async def test_fast_snapshots_are_written_to_the_slower_tiers_once_a_second(
    cache: TieredCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pnl_backend.cache.current.WRITE_EVERY", 3600.0)
    newest = Newest()
    current = Current(cache, newest)
    await published(current, newest)
    await until(lambda: cache.stats().sets == 2)
    for _ in range(20):
        await published(current, newest)
        await asyncio.sleep(0)
    assert cache.stats().sets == 2  # one snapshot and its breakdown
    assert json.loads(current.json("snapshot") or b"")["seq"] == 21
    await current.close()
    hit = await cache.get("current")
    assert hit is not None
    assert json.loads(hit.value)["seq"] == 21
    assert cache.stats().sets == 4
