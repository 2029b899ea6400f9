"""A Kalshi account of one position in answers that a test may change, and a fetcher that reads them."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from pnl_backend.domain.readings import KalshiPortfolio
from pnl_backend.simulator import Credentials, Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer

MARKET = {
    "ticker": "M-1",
    "status": "active",
    "result": "",
    "yes_bid_dollars": "0.4000",
    "yes_ask_dollars": "0.4200",
    "no_bid_dollars": "0.5800",
    "no_ask_dollars": "0.6000",
    "last_price_dollars": "0.4100",
}
POSITION = {
    "ticker": "M-1",
    "position_fp": "10.00",
    "market_exposure_dollars": "3.0000",
    "realized_pnl_dollars": "1.2500",
    "fees_paid_dollars": "0.0700",
}
BALANCE = {"balance": 71006, "balance_dollars": "710.0600", "portfolio_value": 400}


def nothing_else(path: str) -> web.Response:
    """What an account without settled markets answers beside its balance, positions and markets."""
    if path.endswith("user_data_timestamp"):
        return web.json_response({"msg": "not found"}, status=404)
    return web.json_response({"settlements" if path.endswith("settlements") else "market_positions": [], "cursor": ""})


def fetcher_of(client: UpstreamClient, url: str, keys: Credentials, **options: Any) -> KalshiFetcher:
    signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem, **options)
    return KalshiFetcher(client, base_url=url, signer=signer)


@pytest.fixture
def fetcher(client: UpstreamClient, simulator: Simulator) -> KalshiFetcher:
    return fetcher_of(client, simulator.kalshi_url, simulator.credentials())


@pytest.fixture
async def fetch(serve, client: UpstreamClient):
    """Fetch from a server that answers each path with the given JSON, the last of a list again and again."""
    keys = Simulator().credentials()

    async def run(
        *,
        balance: Any = BALANCE,
        positions: Any = (POSITION,),
        markets: Any = (MARKET,),
        pages: list[Any] | None = None,
    ) -> KalshiPortfolio:
        position_pages = pages or [{"market_positions": list(positions), "cursor": ""}]
        answers = {
            "/portfolio/balance": [balance],
            "/portfolio/positions": position_pages,
            "/markets": [{"markets": list(markets), "cursor": ""}],
        }

        async def answer(request: web.Request) -> web.Response:
            path = request.path.removeprefix("/trade-api/v2")
            if path not in answers or request.query.get("settlement_status") == "settled":
                return nothing_else(path)
            held = answers[path]
            return web.json_response(held.pop(0) if len(held) > 1 else held[0])

        url = await serve(answer)
        fetched = await fetcher_of(client, f"{url}/trade-api/v2", keys).fetch()
        return fetched.value

    return run
