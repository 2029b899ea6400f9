"""kill -9 at random moments: whatever a client has received is in the ledger, with the same numbers."""

import random

import orjson

from tests.support.clients import Listener
from tests.support.server import FAST, ServerProcess, upstream_env

KILLS = 20


async def test_what_a_client_received_is_in_the_ledger_after_kill_9(tmp_path, simulator):
    chance = random.Random(7)
    env = FAST | {"UPDATE_INTERVAL_MS": "20", "KALSHI_POLL_MS": "20", "JOHNS_POLL_MS": "20"}
    server = ServerProcess(tmp_path, **env, **upstream_env(simulator, simulator.credentials()))
    received: dict[tuple[str, int], dict] = {}
    newest = 0
    try:
        for _ in range(KILLS):
            await server.start()
            client = Listener()
            await client.io.connect(server.url, transports=["websocket"])
            await client.io.emit("subscribe_pnl")
            wanted = chance.randint(1, 25)
            await client.until(lambda c, wanted=wanted: len(c.of("pnl_update")) >= wanted)
            simulator.step()
            await server.kill()
            await client.ended.wait()
            for update in client.of("pnl_update"):
                data = dict(update["data"])
                if update["source"] == "initial":
                    del data["sources"]  # a newcomer is sent how old they are by now
                known = received.setdefault((data["epoch"], data["seq"]), data)
                both = known.keys() & data.keys()
                assert {name: data[name] for name in both} == {name: known[name] for name in both}, "one snapshot"
            fresh = [u["data"]["seq"] for u in client.of("pnl_update") if u["source"] == "stream"]
            assert all(seq > newest for seq in fresh[:1]), "the sequence never goes back"
            newest = max(seq for _, seq in received)
        assert len({epoch for epoch, _ in received}) == 1
        stored = {seq: orjson.loads(data) for seq, data in server.rows("SELECT seq, data FROM payloads")}
        for (_, seq), data in received.items():
            assert {name: stored[seq][name] for name in data} == data
        assert server.rows("PRAGMA integrity_check") == [("ok",)]
        assert len(received) >= KILLS
    finally:
        await server.close()
