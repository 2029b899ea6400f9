"""The age of the newest snapshot as clients get it, across a restart and while no tick comes."""

from __future__ import annotations

import asyncio

from pnl_backend.simulator import Fault
from tests.support.clients import listening
from tests.support.server import FAST, ServerProcess, upstream_env

SLOW = {"UPDATE_INTERVAL_MS": "60000", "FETCH_TIMEOUT_MS": "60000"}


def states(snapshot):
    return {source["status"] for source in snapshot["sources"].values()}


async def initial(server):
    async with listening(server.url) as client:
        await client.io.emit("subscribe_pnl")
        return (await client.until(lambda c: c.of("pnl_update")))[0]["data"]


async def test_nothing_is_live_after_a_restart_until_a_source_was_read(tmp_path, simulator):
    env = upstream_env(simulator, simulator.credentials())
    first = await ServerProcess(tmp_path, **FAST, **env).start()
    await first.until("/api/pnl/current", lambda a: states(a["data"]) == {"live"})
    assert await first.stop() == 0
    for upstream in ("kalshi", "anthropic", "johns"):
        simulator.set_fault(upstream, Fault.hang())
    server = await ServerProcess(tmp_path, **(FAST | SLOW), **env).start()
    try:
        answers = [await server.get(f"/api/pnl/current{query}") for query in ("", "?period=today", "?period=mtd")]
        for snapshot in (*(answer["data"] for answer in answers), await initial(server)):
            assert states(snapshot) == {"stale"}
            assert all(source["error"] for source in snapshot["sources"].values())
        ((last,),) = server.rows("SELECT max(seq) FROM snapshots")
        assert answers[0]["data"]["seq"] <= last
    finally:
        await server.close()


async def test_the_age_increases_between_two_ticks(tmp_path, simulator):
    """What is read of a snapshot grows older by the second; what was committed of it stays."""
    env = upstream_env(simulator, simulator.credentials()) | {"UPDATE_INTERVAL_MS": "3000"}
    server = await ServerProcess(tmp_path, **(FAST | env)).start()

    async def current():
        return (await server.get("/api/pnl/current"))["data"]

    async def has_grown(read):
        shown = await read()
        rows = (await server.get("/api/pnl/history?limit=5"))["data"]["data"]
        committed = next((row for row in rows if row["seq"] == shown["seq"]), None)
        if committed is None or committed["sources"]["johns"]["ageMs"] is None:
            return False
        return shown["sources"]["johns"]["ageMs"] >= committed["sources"]["johns"]["ageMs"] + 1000

    try:
        for read in (current, lambda: initial(server)):
            async with asyncio.timeout(40):
                while not await has_grown(read):  # noqa: ASYNC110 - time itself sets no event
                    await asyncio.sleep(0.05)
    finally:
        await server.close()
