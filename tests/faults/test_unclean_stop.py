"""A crash while the ledger was down: no number is used twice, and no client gets the answer that nothing is missing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.simulator import Simulator
from tests.support.clients import Listener, listening
from tests.support.server import FAST, ServerProcess, upstream_env


async def subscribed(client: Listener, since: dict[str, Any] | None = None) -> Any:
    """The acknowledgement of a subscription."""
    return await client.io.call("subscribe_pnl", *([{"since": since}] if since else []))


def place(update: dict[str, Any]) -> tuple[str, int]:
    return update["data"]["epoch"], update["data"]["seq"]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_numbers_that_were_published_unstored_are_never_used_again(tmp_path: Path, transport: str) -> None:
    ledger = tmp_path / "data" / "pnl.db"
    async with Simulator(step_interval=0.2, kalshi_rate=None) as simulator:
        server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()))
        await server.start()
        try:
            async with listening(server.url, transports=[transport]) as client:
                await subscribed(client)
                await client.until(lambda c: len(c.of("pnl_update")) >= 3)
                with closing(sqlite3.connect(ledger, isolation_level=None, timeout=30)) as other:
                    other.execute("BEGIN IMMEDIATE")
                    await client.until(lambda c: sum(not u["data"]["stored"] for u in c.of("pnl_update")) >= 4)
                    await server.kill()
                    other.execute("ROLLBACK")
                seen = client.of("pnl_update")
            unstored = [update for update in seen if not update["data"]["stored"]]
            stored = [update for update in seen if update["data"]["stored"]]
            await server.start()
            async with listening(server.url, transports=[transport]) as client:
                epoch, seq = place(unstored[-1])
                answer = await subscribed(client, {"epoch": epoch, "seq": seq})
                assert answer["recovered"] is False, "what it saw last is not in the ledger"
                await client.until(lambda c: len(c.of("pnl_update")) >= 4)
                fresh = {place(update) for update in client.of("pnl_update") if update["source"] == "stream"}
                assert fresh.isdisjoint(place(update) for update in seen)
                assert min(seq for _, seq in fresh) > place(seen[-1])[1]
            async with listening(server.url, transports=[transport]) as client:
                epoch, seq = place(stored[-1])
                answer = await subscribed(client, {"epoch": epoch, "seq": seq})
                assert answer["recovered"] is True, "everything stored after it is at hand"
            assert await server.stop() == 0
            assert server.rows("SELECT count(*) FROM gaps") == [(0,)]
            ((first, last),) = server.rows("SELECT first_seq, last_seq FROM skips")
            assert first <= place(unstored[0])[1] <= place(unstored[-1])[1] < last
        finally:
            await server.close()


async def test_a_clean_stop_skips_no_number(tmp_path: Path) -> None:
    async with Simulator(step_interval=0.2, kalshi_rate=None) as simulator:
        server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()))
        try:
            for _ in range(2):
                await server.start()
                await server.until("/api/pnl/current", lambda a: a["data"]["seq"] > 3)
                assert await server.stop() == 0
            ((count, last),) = server.rows("SELECT count(*), max(seq) FROM snapshots")
            assert count == last
            assert server.rows("SELECT * FROM skips") == []
        finally:
            await server.close()
