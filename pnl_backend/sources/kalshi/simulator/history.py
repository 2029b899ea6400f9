"""Kalshi's historical tier: the cutoff, and what was archived. Archived settlements are in no list at all."""

from __future__ import annotations

from aiohttp import web

from . import queries
from .api import KalshiApi
from .auth import kalshi_error
from .shapes import iso


class History:
    """The `/historical` routes beside an account's live ones."""

    def __init__(self, api: KalshiApi) -> None:
        self._api = api

    async def cutoff(self, _request: web.Request) -> web.Response:
        """For positions it is a lower bound: an event is archived as a whole, once all of it is settled."""
        at = iso(self._api.exchange.cutoff())
        names = ("market_settled_ts", "trades_created_ts", "orders_updated_ts", "market_positions_last_updated_ts")
        return web.json_response(dict.fromkeys(names, at))

    async def positions(self, request: web.Request) -> web.Response:
        rows = queries.archived_positions(request, self._api.account(request))
        return self._api.positions_page(request, rows, key=queries.by_event, scope="historical positions")

    async def fills(self, request: web.Request) -> web.Response:
        api = self._api
        rows = queries.fills(request, api.account(request), api.exchange.cutoff(), archived=True)
        return api.newest_page(request, "fills", rows, api.shapes.fill, scope=queries.ARCHIVED_FILLS)

    async def markets(self, request: web.Request) -> web.Response:
        rows = queries.markets(request, self._api.exchange.archived_markets)
        return self._api.markets_page(request, rows, scope="historical markets")

    async def market(self, request: web.Request) -> web.Response:
        market = self._api.exchange.archived_markets.get(request.match_info["ticker"])
        if market is None:
            return kalshi_error(404, None)
        return web.json_response({"market": self._api.shapes.market(market)})


def add_history(api: KalshiApi) -> None:
    """Serve the historical routes; portfolio rows need a signature, the cutoff and markets do not."""
    history = History(api)
    api.add("/historical/cutoff", history.cutoff, signed=False)
    api.add("/historical/positions", history.positions)
    api.add("/historical/fills", history.fills)
    api.add("/historical/markets", history.markets, signed=False)
    api.add("/historical/markets/{ticker}", history.market, signed=False)
