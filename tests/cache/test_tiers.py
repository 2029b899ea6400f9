"""One contract over every tier: what each must do, and what none may do when it has failed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from pnl_backend.cache.base import CacheTier, Entry, TierDown, TierError
from pnl_backend.cache.fallback import FallbackTier
from pnl_backend.cache.memory import MemoryTier
from pnl_backend.cache.redis import CALL_TIMEOUT, RedisTier
from pnl_backend.cache.sqlite import SQLiteTier
from tests.redis_server import RedisServer
from tests.waiting import PATIENCE, until

# A loaded machine is slow, not wrong: a live Redis is given the time that its own deadline would refuse it.
PATIENT = 10.0
TIERS = ("memory", "redis", "redis_unix", "sqlite", "fallback")
EXPIRING = ("memory", "redis", "redis_unix", "sqlite")
DEAD = ("redis_stopped", "redis_frozen", "redis_silent", "sqlite_directory", "sqlite_foreign", "sqlite_closed")


async def _redis(url: str, *, call_timeout: float = CALL_TIMEOUT) -> RedisTier:
    tier = RedisTier(url=url, call_timeout=call_timeout)
    await tier.open()
    return tier


async def _sqlite(path: Path) -> SQLiteTier:
    tier = SQLiteTier(path)
    await tier.open()
    return tier


async def _build(name: str, tmp_path: Path, server: RedisServer, silent: socket.socket) -> CacheTier:
    match name:
        case "memory":
            return MemoryTier()
        case "fallback":
            return FallbackTier()
        case "sqlite":
            return await _sqlite(tmp_path / "deep" / "cache.db")
        case "redis":
            return await _redis(server.url, call_timeout=PATIENT)
        case "redis_unix":
            return await _redis(f"unix://{server.socket_path}?db=0", call_timeout=PATIENT)
    return await _build_dead(name, tmp_path, server, silent)


async def _build_dead(name: str, tmp_path: Path, server: RedisServer, silent: socket.socket) -> CacheTier:
    tier: CacheTier
    match name:
        case "redis_stopped":
            tier = await _redis(server.url)
            await server.stop()
        case "redis_frozen":
            tier = await _redis(server.url)
            server.freeze()
        case "redis_silent":
            tier = await _redis(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        case "sqlite_directory":
            tier = await _sqlite(tmp_path)
        case "sqlite_foreign":
            (tmp_path / "file").write_text("in the way")
            tier = await _sqlite(tmp_path / "file" / "cache.db")
        case "sqlite_closed":
            tier = await _sqlite(tmp_path / "cache.db")
            await tier.close()
        case _:
            raise AssertionError(name)
    return tier


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port where connections are made and never answered: nobody accepts them."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


@pytest.fixture
async def tier(
    request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer, silent: socket.socket
) -> AsyncIterator[CacheTier]:
    built = await _build(request.param, tmp_path, redis_server, silent)
    try:
        yield built
    finally:
        await built.close()


every_tier = pytest.mark.parametrize("tier", TIERS, indirect=True)
every_expiring_tier = pytest.mark.parametrize("tier", EXPIRING, indirect=True)
every_dead_tier = pytest.mark.parametrize("tier", DEAD, indirect=True)


@every_tier
async def test_gives_back_what_was_set(tier: CacheTier) -> None:
    assert await tier.get("kalshi:reading") is None
    for value in (b"{}", b"", bytes(range(256)), b"x" * 200_000):
        await tier.set("kalshi:reading", value, 60)
        held = await tier.get("kalshi:reading")
        assert held is not None
        assert held.value == value
    assert tier.status == "connected"


@every_expiring_tier
async def test_the_remaining_time_to_live_is_returned(tier: CacheTier) -> None:
    await tier.set("kalshi:reading", b"1", 60)
    await tier.set("kalshi:other", b"1", 0.8)
    long, short = await tier.get("kalshi:reading"), await tier.get("kalshi:other")
    assert long is not None
    assert 0.8 < long.ttl <= 60
    assert short is None or 0 < short.ttl <= 0.8


@every_expiring_tier
async def test_an_expired_entry_is_gone(tier: CacheTier) -> None:
    await tier.set("kalshi:reading", b"1", 0.05)
    await _gone(tier, "kalshi:reading")


async def test_the_fallback_never_expires_and_never_calls_itself_fresh() -> None:
    tier = FallbackTier()
    await tier.set("kalshi:reading", b"1", 1e-9)
    assert await tier.get("kalshi:reading") == Entry(b"1", 0.0)


@every_tier
async def test_delete_takes_one_key(tier: CacheTier) -> None:
    await tier.set("kalshi:a", b"1", 60)
    await tier.set("kalshi:b", b"2", 60)
    await tier.delete("kalshi:a")
    await tier.delete("kalshi:never-there")
    assert await tier.get("kalshi:a") is None
    held = await tier.get("kalshi:b")
    assert held is not None
    assert held.value == b"2"


@every_tier
async def test_delete_prefix_takes_the_prefix_literally(tier: CacheTier) -> None:
    keys = ("a*c:1", "abc:1", "a*c:2", "a[b]:1", "ab:1", "a%c:1")
    for key in keys:
        await tier.set(key, b"1", 60)
    await tier.delete_prefix("a*c:")
    await tier.delete_prefix("a[b]")
    await tier.delete_prefix("a%")
    left = [key for key in keys if await tier.get(key) is not None]
    assert left == ["abc:1", "ab:1"]


@every_tier
async def test_clear_takes_everything(tier: CacheTier) -> None:
    for number in range(30):
        await tier.set(f"kalshi:{number}", b"1", 60)
    await tier.clear()
    for number in range(30):
        assert await tier.get(f"kalshi:{number}") is None


@every_tier
async def test_five_hundred_at_once_each_get_their_own_value(tier: CacheTier) -> None:
    for number in range(50):
        await tier.set(f"kalshi:{number}", str(number).encode(), 60)

    async def read(number: int) -> tuple[int, Entry | None]:
        return number, await tier.get(f"kalshi:{number}")

    for number, held in await asyncio.gather(*(read(index % 50) for index in range(500))):
        assert held is not None
        assert held.value == str(number).encode()


@every_dead_tier
async def test_a_failed_tier_raises_nothing_but_its_own_error(tier: CacheTier) -> None:
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: tier.get("kalshi:a"),
        lambda: tier.set("kalshi:a", b"1", 60),
        lambda: tier.delete("kalshi:a"),
        lambda: tier.delete_prefix("kalshi:"),
        tier.clear,
    )
    for call in calls:
        with pytest.raises(TierError):
            await call()


@every_dead_tier
async def test_a_failed_tier_is_soon_marked_and_no_longer_used(tier: CacheTier) -> None:
    with pytest.raises(TierError):
        await tier.get("kalshi:a")
    await until(lambda: tier.status == "down")
    assert tier.size() is None
    outcomes = await asyncio.gather(*(tier.get("kalshi:a") for _ in range(500)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {TierDown, TierError}
    assert sum(type(outcome) is TierDown for outcome in outcomes) >= 499


async def test_a_redis_without_a_url_is_disabled() -> None:
    tier = RedisTier(url=None)
    await tier.open()
    assert tier.status == "disabled"
    with pytest.raises(TierDown):
        await tier.get("kalshi:a")
    await tier.close()
    assert tier.status == "disabled"


async def _gone(tier: CacheTier, key: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await tier.get(key) is not None:  # noqa: ASYNC110 - Redis tells nobody of an expiry
            await asyncio.sleep(0.01)
