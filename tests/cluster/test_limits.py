"""The limit of requests counts what a client asks of all nodes together, and each node's own while Redis is away."""

import aiohttp

from tests.cluster.installation import Cluster

LIMIT = 20


async def statuses(session: aiohttp.ClientSession, urls: list[str]) -> list[int]:
    found = []
    for url in urls:
        async with session.get(f"{url}/api/cache/stats") as response:
            found.append(response.status)
    return found


async def test_two_nodes_share_one_limit(installation: Cluster) -> None:
    first = await installation.node(RATE_LIMIT_PER_MINUTE=str(LIMIT))
    second = await installation.node(RATE_LIMIT_PER_MINUTE=str(LIMIT))
    async with aiohttp.ClientSession() as session:
        found = await statuses(session, [first.url, second.url] * LIMIT)
        assert found == [200] * LIMIT + [429] * LIMIT
        async with session.get(f"{first.url}/api/cache/stats") as response:
            assert response.headers["RateLimit-Remaining"] == "0"
            assert 0 < int(response.headers["Retry-After"]) <= 60


async def test_while_redis_is_away_each_node_counts_for_itself(installation: Cluster) -> None:
    first = await installation.node(RATE_LIMIT_PER_MINUTE=str(LIMIT))
    second = await installation.node(RATE_LIMIT_PER_MINUTE=str(LIMIT))
    await installation.redis.stop()
    async with aiohttp.ClientSession() as session:
        for node in (first, second):
            assert await statuses(session, [node.url] * (LIMIT + 1)) == [200] * LIMIT + [429]
