"""What the nodes do without Redis, without both, and with a ledger that lost something."""

from typing import Any

import redis.asyncio

from tests.cluster.installation import Cluster
from tests.support.clients import listening
from tests.waiting import until


async def test_a_redis_that_stops_to_answer_delays_nobody_for_long(installation: Cluster) -> None:
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    (other,) = installation.others(leader)
    async with installation.watching(leader) as near, installation.watching(other) as far:
        installation.redis.freeze()
        await near.sees_more(5)
        before = far.last
        installation.redis.thaw()
        await until(lambda: far.last > before + 5)
        await until(lambda: far.last >= near.last)
        near.check()
        far.check()


async def test_nothing_is_published_that_neither_redis_nor_postgresql_has(installation: Cluster) -> None:
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    (other,) = installation.others(leader)
    async with installation.watching(leader) as near, installation.watching(other) as far:
        installation.postgres.stop()
        try:
            await far.sees_more(3)
            await installation.redis.stop()
            await leader.until("/health", lambda health: health["parts"]["bus"]["state"] == "down")
            await until(lambda: len(near.errors) == 1)
            held = near.last
            assert (await leader.get("/health"))["cluster"]["state"] == "leading"
            await leader.kill()  # whatever it had computed is gone, and nobody has seen it
        finally:
            installation.postgres.start()
            await installation.redis.start()
        await far.sees_more()
        far.check()
        assert near.last == held


async def test_what_redis_alone_had_is_stored_by_the_next_leader(installation: Cluster) -> None:
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    (other,) = installation.others(leader)
    async with installation.watching(other) as far:
        installation.postgres.stop()
        try:
            await far.sees_more(5)
            await leader.kill()
        finally:
            installation.postgres.start()
        assert await installation.leader() is other
        await far.sees_more()
        far.check()
        await until(lambda: far.last in installation.stored())
    stored = installation.stored()
    assert stored == list(range(1, len(stored) + 1))
    served = (await other.get("/api/pnl/history?limit=1000"))["data"]["data"]
    assert {each["stored"] for each in served} == {True, False}


async def stopped_with_a_copy(installation: Cluster) -> tuple[str, str, int]:
    """Nodes that were stopped after a copy of the ledger was made: the copy, and what was published last."""
    node = await installation.node()
    await node.until("/api/pnl/current", lambda shown: shown["data"]["seq"] > 3)
    await node.stop()
    copy = installation.copy_of_the_ledger()
    await node.start()
    async with installation.watching(node) as watcher:
        await watcher.sees_more(8)
        epoch, seq = watcher.seen[-1]
        await node.kill()
    return copy, epoch, seq


async def test_a_ledger_that_was_restored_gets_back_what_the_stream_has(installation: Cluster) -> None:
    copy, epoch, seq = await stopped_with_a_copy(installation)
    installation.restore_ledger(copy)
    (node,) = installation.nodes
    await node.start()
    await installation.leader()
    async with listening(node.url, transports=["websocket"]) as client:
        said = await client.io.call("subscribe_pnl", {"since": {"epoch": epoch, "seq": seq}})
        assert said["recovered"] is True
        await client.next("pnl_update")
        assert client.of("pnl_update")[0]["data"]["seq"] == seq + 1
    stored = installation.stored()
    assert stored == list(range(1, len(stored) + 1))


async def test_history_that_is_nowhere_any_more_begins_a_new_epoch(installation: Cluster) -> None:
    copy, epoch, seq = await stopped_with_a_copy(installation)
    installation.restore_ledger(copy)
    other = redis.asyncio.from_url(installation.redis.url)
    await other.xtrim("pnl-bus:stream", maxlen=2, approximate=False)
    await other.aclose()
    (node,) = installation.nodes
    await node.start()
    await installation.leader()
    shown = await node.until("/api/pnl/current", lambda shown: shown["data"]["epoch"] != epoch)
    assert shown["data"]["seq"] > seq
    async with listening(node.url, transports=["websocket"]) as client:
        said = await client.io.call("subscribe_pnl", {"since": {"epoch": epoch, "seq": seq}})
        assert said["recovered"] is False
        update = await client.next("pnl_update")
        assert update["data"]["epoch"] == shown["data"]["epoch"]
    assert "history was lost" in node.log


async def test_history_of_a_follower_has_what_was_stored_late(installation: Cluster) -> None:
    """What it reads from the ledger before that is not kept in the cache."""
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    (other,) = installation.others(leader)
    asked = "/api/pnl/history?resolution=1h"
    async with installation.watching(other) as far:
        assert (await other.get(asked))["data"]["count"] > 0
        installation.postgres.stop()
        try:
            await far.sees_more(3)
        finally:
            installation.postgres.start()
        await leader.kill()
        await other.until(asked, lambda shown: shown["success"])
        await far.sees_more()
        await until(lambda: far.last in installation.stored())
        stored = installation.stored()

    def complete(shown: dict[str, Any]) -> bool:
        return sum(row["count"] for row in shown["data"]["data"]) >= len(stored)

    await other.until(asked, complete)
