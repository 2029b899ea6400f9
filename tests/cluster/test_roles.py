"""What nodes of each role serve, what they wait for, and what health says of them."""

import re
import signal
from pathlib import Path

import aiohttp
import pytest
import socketio

from tests.cluster.installation import Cluster
from tests.redis_server import RedisServer
from tests.support.clients import listening
from tests.support.postgres import PostgresServer
from tests.support.server import command
from tests.waiting import until


async def answer(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


async def test_a_push_node_serves_what_a_poll_node_computes(installation: Cluster) -> None:
    poll, push = await installation.node("poll"), await installation.node("push")
    async with installation.watching(push) as watcher:
        await watcher.sees_more()
        watcher.check()
    await push.until("/health/ready", lambda probe: probe["status"] == "ready")
    assert await push.get("/health/ready") | {"lagUpdates": 0, "lagMs": 0} == {
        "status": "ready", "role": "push", "leads": False, "lagUpdates": 0, "lagMs": 0,
    }  # fmt: skip
    served = (await push.get("/api/pnl/current"))["data"]
    assert {name: each["status"] for name, each in served["sources"].items()} == dict.fromkeys(
        ("kalshi", "anthropic", "johns"), "live"
    )
    assert (await push.get("/api/pnl/history?limit=5"))["data"]["count"] == 5
    assert (await push.get("/api/pnl/current?period=today"))["data"]["period"] == "today"
    breakers = (await push.get("/api/circuit-breaker/status"))["data"]["services"]
    assert breakers["kalshi"]["state"] == "CLOSED"
    view = (await poll.get("/health"))["cluster"]
    assert {node["role"]: node["state"] for node in view["nodes"]} == {"poll": "leading", "push": "following"}
    assert next(node["seq"] for node in view["nodes"] if node["role"] == "push") > 0


async def test_a_poll_node_has_no_sockets(installation: Cluster) -> None:
    poll = await installation.node("poll")
    await poll.until("/health/ready", lambda probe: probe["status"] == "ready")
    assert (await poll.get("/api/pnl/current"))["success"]
    assert await answer(f"{poll.url}/api/pnl/stream") == 404
    with pytest.raises(socketio.exceptions.ConnectionError):
        async with listening(poll.url, transports=["websocket"]):
            pass


async def test_a_push_node_never_leads(installation: Cluster) -> None:
    push = await installation.node("push")
    view = await push.until("/health", lambda health: health["cluster"]["bus"] == "connected")
    assert (view["cluster"]["state"], view["cluster"]["leader"]) == ("following", None)
    probe = await push.get("/health/ready")
    assert (probe["status"], probe["waitingFor"]) == ("waiting", ["postgresql", "updates"])
    assert (await push.get("/api/pnl/current"))["data"]["degraded"] == ["kalshi", "anthropic", "johns"]


@pytest.mark.parametrize("away", ["redis", "postgresql"])
async def test_a_node_that_starts_without_one_of_both_names_it_and_serves_what_it_has(
    installation: Cluster, away: str
) -> None:
    first = await installation.node()
    await first.until("/health/ready", lambda probe: probe["status"] == "ready")
    if away == "redis":
        await installation.redis.stop()
    else:
        installation.postgres.stop()
    try:
        second = await installation.node()
        probe = await second.until("/health/ready", lambda probe: away in probe.get("waitingFor", []))
        assert await answer(f"{second.url}/health/ready") == 503
        assert probe["status"] == "waiting"
        assert (await second.get("/api/pnl/current"))["data"]["seq"] > 0
    finally:
        if away == "redis":
            await installation.redis.start()
        else:
            installation.postgres.start()
    await second.until("/health/ready", lambda probe: probe["status"] == "ready")
    async with installation.watching(second) as watcher:
        await watcher.sees_more()
        watcher.check()


async def test_without_updates_a_follower_is_not_ready_and_says_why(installation: Cluster) -> None:
    poll, push = await installation.node("poll"), await installation.node("push")
    await push.until("/api/pnl/current", lambda shown: not shown["data"]["degraded"])
    async with listening(push.url, transports=["websocket"]) as client:
        await client.io.emit("subscribe_pnl")
        await client.next("pnl_update")
        await poll.kill()
        probe = await push.until("/health/ready", lambda probe: probe["status"] == "waiting")
        assert probe["waitingFor"] == ["updates"]
        await until(lambda: len(client.of("stream_error")) == 1)
        shown = (await push.get("/api/pnl/current"))["data"]["sources"]["kalshi"]
        assert (shown["status"], shown["error"]) == ("stale", "updates have stopped; no source has been read since")
        await poll.start()
        await client.next("pnl_update")
    await push.until("/health/ready", lambda probe: probe["status"] == "ready")
    assert len(client.of("stream_error")) == 1


async def test_metrics_name_role_leader_and_lag(installation: Cluster) -> None:
    poll, push = await installation.node("poll"), await installation.node("push")
    await push.until("/health/ready", lambda probe: probe["status"] == "ready")
    texts = {}
    for node in (poll, push):
        async with aiohttp.ClientSession() as session, session.get(f"{node.url}/metrics") as response:
            texts[node] = (await response.text()).splitlines()
    for line in ('pnl_node_role{role="poll"} 1.0', "pnl_leader 1.0", "pnl_bus_up 1.0", "pnl_ledger_up 1.0",
                 "pnl_fence 1.0", "pnl_stream_behind_ledger_updates 0.0",
                 'pnl_leadership_changes_total{change="won"} 1.0'):  # fmt: skip
        assert line in texts[poll], line
    for line in ('pnl_node_role{role="push"} 1.0', "pnl_leader 0.0", "pnl_bus_up 1.0", "pnl_ledger_up 1.0"):
        assert line in texts[push], line
    assert any(line.startswith("pnl_stream_lag_updates ") for line in texts[push])
    assert not any(line.startswith("pnl_stream_behind_ledger") for line in texts[push])
    assert any(line.startswith("pnl_last_update_timestamp_seconds 1") for line in texts[push])


async def test_a_push_node_has_the_leader_close_its_breakers(installation: Cluster) -> None:
    keys = {"ADMIN_API_KEY": "operator-key"}
    poll, push = await installation.node("poll", **keys), await installation.node("push", **keys)
    url = f"{push.url}/api/circuit-breaker/reset"
    await push.until("/health", lambda health: health["cluster"]["leader"] is not None)
    async with aiohttp.ClientSession(headers={"X-API-Key": "operator-key"}) as session:
        async with session.post(url, json={"service": "kalshi"}) as response:
            assert (response.status, (await response.json())["data"]) == (200, {"reset": ["kalshi"]})
        async with session.post(url, json={}) as response:
            assert (await response.json())["data"] == {"reset": ["kalshi", "anthropic", "johns_revenue"]}
        async with session.post(url, json={"service": "nobody"}) as response:
            assert response.status == 404
        poll.signal(signal.SIGSTOP)
        async with session.post(url, json={}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (503, "no_leader")
        poll.signal(signal.SIGCONT)


async def test_check_names_the_redis_of_the_cluster(
    tmp_path: Path, redis_server: RedisServer, postgres: PostgresServer
) -> None:
    env = {"ROLE": "push", "BUS_URL": redis_server.url, "DATABASE_URL": postgres.database(), "USE_REDIS": "false"}
    _, output = await command(tmp_path, "check", **env)
    assert re.search(r"bus\W+connected|bus.*ok.*connected|ok.*bus.*connected", output), output
    await redis_server.stop()
    _, output = await command(tmp_path, "check", **env)
    assert re.search(r"bus.*does not answer.*the node waits for it", output), output
