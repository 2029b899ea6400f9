"""The recorded account, served over HTTP with signatures, read through the whole server from both field generations."""

from pathlib import Path

import pytest

from pnl_backend.simulator import Book, Simulator
from tests.support.clients import listening
from tests.support.server import FAST, ServerProcess, upstream_env

RECORDED = Path(__file__).resolve().parents[1] / "data" / "kalshi"


@pytest.mark.parametrize("generation", ["both", "strings", "cents"])
@pytest.mark.parametrize("key", ["rsa", "ed25519"])
async def test_the_recorded_account_s_figures(tmp_path, generation, key):
    book = Book.from_recorded(RECORDED)
    async with Simulator(book, step_interval=None, generation=generation, kalshi_rate=None) as simulator:
        server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials(kalshi=key)))
        await server.start()
        try:
            async with listening(server.url) as client:
                await client.io.emit("subscribe_pnl")
                update = await client.next("pnl_update", lambda u: u["data"]["sources"]["kalshi"]["status"] == "live")
        finally:
            await server.close()
    kalshi = update["data"]["components"]["kalshi"]
    assert kalshi["balance"] == 710.06
    assert kalshi["positions"] == 18
    assert kalshi["realizedPnl"] == 403.15
    assert kalshi["fees"] == 26.73
    assert kalshi["pnl"] == round(403.15 + kalshi["unrealizedPnl"], 2)
