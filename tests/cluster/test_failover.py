"""Two nodes that do everything: whatever happens to one of them, the other's clients miss nothing."""

import signal
from typing import Any

from tests.cluster.installation import Cluster
from tests.waiting import until


async def test_both_nodes_publish_the_same_and_one_of_them_leads(installation: Cluster) -> None:
    first, second = await installation.node(), await installation.node()
    await installation.leader()
    async with installation.watching(first) as one, installation.watching(second) as other:
        await one.sees_more()
        await until(lambda: other.last >= one.last)
    one.check()
    other.check()
    assert set(one.seen) & set(other.seen)
    names = {(await node.get("/health"))["cluster"]["node"] for node in (first, second)}

    def agreed(health: dict[str, Any]) -> bool:
        """On a loaded machine the leader may change with so short a lease, and the list is a moment old."""
        view = health["cluster"]
        states = {node["id"]: node["state"] for node in view["nodes"]}
        return (
            states.keys() == names
            and sorted(states.values()) == ["following", "leading"]
            and (states.get(view["leader"]) == "leading")
        )

    await first.until("/health", agreed)
    await second.until("/health", agreed)


async def test_the_other_node_leads_when_the_leader_is_killed(installation: Cluster) -> None:
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    (other,) = installation.others(leader)
    async with installation.watching(other) as watcher:
        for _ in range(2):
            await leader.kill()
            await watcher.sees_more()
            watcher.check()
            assert await installation.leader() is other
            await leader.start()
    stored = installation.stored()
    assert {seq for _, seq in watcher.seen} <= set(stored)
    assert stored == list(range(1, len(stored) + 1))


async def test_a_leader_that_was_paused_follows_when_it_wakes(installation: Cluster) -> None:
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    (other,) = installation.others(leader)
    async with installation.watching(other) as watcher, installation.watching(leader) as paused:
        leader.signal(signal.SIGSTOP)
        await watcher.sees_more(8)
        assert (await other.get("/health"))["cluster"]["state"] == "leading"
        leader.signal(signal.SIGCONT)
        await leader.until("/health", lambda health: health["cluster"]["state"] == "following")
        await until(lambda: paused.last >= watcher.last)
        await paused.sees_more()
    watcher.check()
    paused.check()


async def test_a_leader_that_stops_is_followed_at_once(installation: Cluster) -> None:
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    (other,) = installation.others(leader)
    async with installation.watching(other) as watcher:
        assert await leader.stop() == 0
        await watcher.sees_more()
        watcher.check()
    assert "Traceback" not in leader.log + other.log


async def test_updates_go_on_for_the_leaders_clients_while_redis_is_away(installation: Cluster) -> None:
    """And the others get what they missed, in order, when it is back, though it comes back empty."""
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    (other,) = installation.others(leader)
    async with installation.watching(leader) as near, installation.watching(other) as far:
        await installation.redis.stop()
        await near.sees_more(5)
        before = far.last
        await installation.redis.start()
        await until(lambda: far.last > before + 5)
        await until(lambda: far.last >= near.last)
        near.check()
        far.check()


async def test_updates_go_on_while_postgresql_is_away(installation: Cluster) -> None:
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    (other,) = installation.others(leader)
    async with installation.watching(leader) as near, installation.watching(other) as far:
        installation.postgres.stop()
        try:
            await far.sees_more(5)
        finally:
            installation.postgres.start()
        await until(lambda: far.last in installation.stored())
        near.check()
        far.check()
    assert {seq for _, seq in far.seen} - {far.last} <= set(installation.stored())
