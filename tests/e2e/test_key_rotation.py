"""Keys are rotated without a restart: SIGHUP reads them again, the connections of a revoked one are closed."""

import asyncio
import signal

from tests.support.clients import listening
from tests.support.server import FAST, ServerProcess
from tests.waiting import PATIENCE


async def opens(server, key):
    return (await server.get("/api/pnl/current", **{"X-API-Key": key}))["success"]


async def test_a_revoked_key_closes_its_sockets_and_the_others_stay(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("API_KEY=old-key,new-key\n")
    server = await ServerProcess(tmp_path, **FAST).start()
    try:
        async with (
            listening(server.url, auth={"apiKey": "old-key"}) as old,
            listening(server.url, auth={"apiKey": "new-key"}) as new,
        ):
            await old.io.call("subscribe_pnl")
            await new.io.call("subscribe_pnl")
            env_file.write_text("API_KEY=new-key,newest-key\n")
            server.signal(signal.SIGHUP)
            async with asyncio.timeout(PATIENCE):
                await old.ended.wait()
            assert not await opens(server, "old-key")
            assert await opens(server, "newest-key")
            await new.next("pnl_update")

            env_file.write_text("API_KEY=newest-key\nCACHE_TTL=nonsense\n")
            server.signal(signal.SIGHUP)
            await server.until("/health", lambda _: "CACHE_TTL" in server.log)
            assert await opens(server, "new-key"), "bad settings change nothing"
            await new.next("pnl_update")
        assert await server.stop() == 0
        assert "old-key" not in server.log
        assert "newest-key" not in server.log
    finally:
        await server.close()
