"""The health report: degraded parts leave the server healthy, a failed loop or store does not, and `since` is right."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pnl_backend.ops.health import HealthMonitor, Part
from pnl_backend.wire import operations
from tests.waiting import until


class House:
    """Parts whose state a test sets."""

    def __init__(self, **options: Any) -> None:
        self.now = 1_772_058_240.0
        self.monotonic = 0.0
        self.running = True
        self.cache_states = {"processCache": "healthy", "redis": "connected", "sqlite": "connected"}
        self.parts = {"store": Part("connected"), "kalshi": Part("live")}
        self.health_of = HealthMonitor(
            environment="development",
            cache=self,
            connected_clients=lambda: 7,
            loop_running=lambda: self.running,
            store=lambda: self.parts["store"],
            parts={"kalshi": lambda: self.parts["kalshi"]},
            stall_after=60,
            clock=lambda: self.now,
            monotonic=lambda: self.monotonic,
            business_timezone="Asia/Tokyo",
            **options,
        )
        self.health_of.mark("ready")

    def health(self) -> operations.CacheServices:
        return operations.CacheServices(**self.cache_states)

    def stats(self) -> Any:
        return operations.BriefCacheStats(hits=49, misses=3, total=52, hitRate="94.23%")

    def report(self, *, keyed: bool) -> tuple[bool, dict[str, Any]]:
        body = msgspec.to_builtins(self.health_of.report(keyed=keyed))
        return body["status"] == "healthy", body

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds


async def test_the_body_of_the_contract() -> None:
    house = House()
    house.pass_time(12.5)
    healthy, body = house.report(keyed=True)
    assert healthy
    assert body["status"] == "healthy"
    assert body["timestamp"] == "2026-02-25T22:24:12.500Z"
    assert body["uptime"] == 12.5
    assert body["environment"] == "development"
    assert body["services"] == {
        "cache": {"processCache": "healthy", "redis": "connected", "sqlite": "connected"},
        "aggregator": "running",
    }
    assert msgspec.to_builtins(house.health_of.brief(keyed=True)) == {
        "status": "ok",
        "timestamp": 1_772_058_252_500,
        "connectedClients": 7,
        "cacheStats": {"hitRate": "94.23%", "hits": 49, "misses": 3, "total": 52},
        "uptime": 12.5,
        "businessTimezone": "Asia/Tokyo",
        "updateIntervalMs": 5000,
    }


async def test_degraded_parts_leave_it_healthy() -> None:
    house = House()
    house.parts["kalshi"] = Part("stale", ok=False, detail="breaker open")
    house.cache_states["redis"] = house.cache_states["sqlite"] = "down"
    healthy, body = house.report(keyed=True)
    assert healthy
    assert body["degraded"] == ["kalshi", "redis", "sqlite"]
    assert body["parts"]["kalshi"]["detail"] == "breaker open"
    assert body["parts"]["redis"]["since"] == body["timestamp"]


@pytest.mark.parametrize("fault", ["loop stopped", "loop stalled", "store down"])
async def test_it_is_unhealthy_where_the_loop_or_the_store_fails(fault: str) -> None:
    house = House()
    house.health_of.heartbeat()
    house.pass_time(61 if fault == "loop stalled" else 1)
    house.running = fault != "loop stopped"
    if fault == "store down":
        house.parts["store"] = Part("down", ok=False, detail="the disk is full")
    healthy, body = house.report(keyed=True)
    assert not healthy
    assert body["status"] == "unhealthy"
    # And it mends itself.
    house.running = True
    house.health_of.heartbeat()
    house.parts["store"] = Part("connected")
    healthy, _ = house.report(keyed=True)
    assert healthy


async def test_a_loop_that_has_not_begun_has_not_stopped() -> None:
    house = House()
    house.running = False
    house.health_of.mark("starting")
    healthy, body = house.report(keyed=True)
    assert healthy
    assert body["services"]["aggregator"] == "starting"
    house.health_of.mark("draining")
    healthy, body = house.report(keyed=True)
    assert not healthy
    assert house.health_of.readiness().status == "draining"


async def test_since_is_when_it_changed_and_stays_while_it_lasts() -> None:
    house = House()
    house.health_of.sample()
    house.pass_time(30)
    house.parts["kalshi"] = Part("stale", ok=False, detail="refused")
    house.health_of.heartbeat()
    house.health_of.sample()
    house.pass_time(15)
    house.parts["kalshi"] = Part("stale", ok=False, detail="refused again")
    _, body = house.report(keyed=True)
    assert body["parts"]["store"]["since"] == "2026-02-25T22:24:00.000Z"
    assert body["parts"]["kalshi"] == {
        "state": "stale",
        "ok": False,
        "since": "2026-02-25T22:24:30.000Z",
        "detail": "refused again",
    }


async def test_it_looks_by_itself() -> None:
    house = House()
    looks = 0

    def count() -> Part:
        nonlocal looks
        looks += 1
        return Part("live")

    watched = HealthMonitor(
        environment="development",
        cache=house,
        connected_clients=lambda: 0,
        loop_running=lambda: True,
        store=lambda: Part("connected"),
        parts={"counted": count},
    )
    async with watched.watching():
        await until(lambda: looks >= 2)


async def test_details_need_a_key() -> None:
    house = House()
    house.parts["kalshi"] = Part("stale", ok=False, detail="https://internal.example refused")
    _, body = house.report(keyed=False)
    assert "internal.example" not in str(body)
    _, body = house.report(keyed=True)
    assert body["parts"]["kalshi"]["detail"] == "https://internal.example refused"


async def test_a_part_that_cannot_answer_is_unhealthy_and_the_others_are_shown() -> None:
    house = House()
    del house.parts["kalshi"]
    healthy, body = house.report(keyed=True)
    assert healthy
    assert body["parts"]["kalshi"]["state"] == "unknown"
    assert body["parts"]["store"]["state"] == "connected"
