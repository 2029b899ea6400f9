"""Kalshi's Trade API v2 as far as a P&L needs it: signed portfolio reads, markets, exchange status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from pnl_backend.sources.simulated.paging import BadParameter
from pnl_backend.sources.simulated.upstream import Upstream

from . import queries
from .account import Account
from .auth import Keys, TokenBucket, kalshi_error
from .exchange import Exchange
from .records import EXCHANGE_INDEX, Generation, dollars, truncated_cents
from .rest_view import Falsified, RestViews
from .shapes import Shapes, iso, subaccount_transfer, transfer
from .truth import portfolio_value_cents

Answer = Callable[[web.Request], Awaitable[web.Response]]


class KalshiApi:
    """The REST routes; every `/portfolio` one needs a signature by a known key, and is of that key's account."""

    def __init__(
        self, exchange: Exchange, upstream: Upstream, *, generation: Generation, tokens_per_second: float | None
    ) -> None:
        self.keys = Keys()
        self.views = RestViews()
        self.falsified = Falsified()
        self.shapes = Shapes(generation)
        self.exchange = exchange
        self._upstream = upstream
        self._generation: Generation = generation
        self._bucket = TokenBucket(tokens_per_second)
        for path, handler in {
            "balance": self._balance,
            "positions": self._positions,
            "fills": self._fills,
            "settlements": self._settlements,
            "deposits": self._deposits,
            "withdrawals": self._withdrawals,
            "subaccounts/balances": self._subaccount_balances,
            "subaccounts/transfers": self._subaccount_transfers,
        }.items():
            self.add(f"/portfolio/{path}", handler)
        self.add("/markets", self._markets, signed=False)
        self.add("/exchange/status", self._exchange_status, signed=False)
        self.add("/exchange/user_data_timestamp", self._user_data_timestamp, signed=False)

    def add(self, path: str, handler: Answer, *, signed: bool = True) -> None:
        """Serve GET on a path below the base; what a handler refuses by BadParameter is a 400."""

        async def guarded(request: web.Request) -> web.Response:
            if not self._bucket.take():
                return kalshi_error(429, None)
            if signed or "KALSHI-ACCESS-KEY" in request.headers:
                refusal = self.refusal(request)
                if refusal is not None:
                    return refusal
            self.exchange.hand_over()
            try:
                return await handler(request)
            except BadParameter as error:
                body = {"code": "invalid_parameters", "message": str(error), "details": ""}
                return web.json_response(body, status=400)

        self._upstream.add(path, guarded)

    def refusal(self, request: web.Request) -> web.Response | None:
        """The 401 for a request that is unsigned, wrongly signed or out of time; None if it may pass."""
        return self.keys.refusal(request, self._upstream.now(request))

    def account(self, request: web.Request) -> Account:
        """What REST shows of the account of the request's key, or of the first account without a key."""
        return self._view(request)[0]

    def user_of(self, request: web.Request) -> str:
        """The account of the request's key; the first one without a key."""
        return self.keys.user_of(request) or self.exchange.accounts[0].user_id

    def _view(self, request: web.Request) -> tuple[Account, float]:
        account = self.exchange.account_of(self.user_of(request))
        return self.views.of(account, self._upstream.now(request))

    async def _balance(self, request: web.Request) -> web.Response:
        subaccount = queries.subaccount_of(request, default=0) or 0
        account, as_of = self._view(request)
        cash = account.balance(subaccount)
        value = portfolio_value_cents(account, self.exchange.markets, subaccount, self._generation)
        body: dict[str, Any] = {"balance": truncated_cents(cash), "portfolio_value": value, "updated_ts": int(as_of)}
        if self._generation != "cents":
            body["balance_dollars"] = dollars(cash)
            body["balance_breakdown"] = [{"exchange_index": EXCHANGE_INDEX, "balance": dollars(cash)}]
        return web.json_response(body)

    async def _positions(self, request: web.Request) -> web.Response:
        status = request.query.get("settlement_status", "unsettled")
        if status not in ("all", "settled", "unsettled"):
            raise BadParameter("settlement_status must be all, settled or unsettled")
        rows = queries.positions(request, self.account(request), status)
        key = queries.by_seq if status == "unsettled" else queries.by_event
        return self.positions_page(request, rows, key=key, scope=f"positions {status}")

    def positions_page(
        self, request: web.Request, rows: list[Any], *, key: Callable[[Any], tuple[Any, ...]], scope: str
    ) -> web.Response:
        """One page of positions with the sums of its events."""
        body = queries.paged(request, "market_positions", rows, lambda held: held, key=key, scope=scope)
        shown = body["market_positions"]
        rows_shown = [self.shapes.position(held) for held in shown]
        body["market_positions"] = self.falsified.shown("market_positions", rows_shown)
        body["event_positions"] = self.shapes.events(shown)
        return web.json_response(body)

    async def _fills(self, request: web.Request) -> web.Response:
        rows = queries.fills(request, self.account(request), self.exchange.cutoff(), archived=False)
        return self.newest_page(request, "fills", rows, self.shapes.fill)

    async def _settlements(self, request: web.Request) -> web.Response:
        rows = queries.newest(request, (self.account(request).settlements,), "settlements")
        return self.newest_page(request, "settlements", rows, self.shapes.settlement)

    def newest_page(
        self, request: web.Request, name: str, rows: Any, shape: Callable[[Any], Any], *, scope: str | None = None
    ) -> web.Response:
        """One page of rows that come newest first."""
        body = queries.paged(request, name, rows, shape, key=queries.by_time, scope=scope or name, newest_first=True)
        return web.json_response({**body, name: self.falsified.shown(name, body[name])})

    async def _deposits(self, request: web.Request) -> web.Response:
        return self._transfers(request, "deposit")

    async def _withdrawals(self, request: web.Request) -> web.Response:
        return self._transfers(request, "withdrawal")

    def _transfers(self, request: web.Request, kind: str) -> web.Response:
        rows = [row for row in reversed(self.account(request).transfers) if row.kind == kind]
        return self._by_seq(request, f"{kind}s", rows, transfer, most=500)

    async def _subaccount_balances(self, request: web.Request) -> web.Response:
        account, as_of = self._view(request)
        rows = [
            {
                "subaccount_number": number,
                "exchange_index": EXCHANGE_INDEX,
                "balance": dollars(account.balance(number)),
                "updated_ts": int(as_of),
            }
            for number in account.subaccounts()
        ]
        return web.json_response({"subaccount_balances": rows})

    async def _subaccount_transfers(self, request: web.Request) -> web.Response:
        rows = list(reversed(self.account(request).moves))
        return self._by_seq(request, "transfers", rows, subaccount_transfer, most=1000)

    def _by_seq(
        self, request: web.Request, name: str, rows: list[Any], shape: Callable[[Any], Any], *, most: int
    ) -> web.Response:
        body = queries.paged(request, name, rows, shape, key=queries.by_seq, scope=name, most=most, newest_first=True)
        return web.json_response({**body, name: self.falsified.shown(name, body[name])})

    async def _markets(self, request: web.Request) -> web.Response:
        return self.markets_page(request, queries.markets(request, self.exchange.markets), scope="markets")

    def markets_page(self, request: web.Request, rows: list[Any], *, scope: str) -> web.Response:
        """One page of markets."""
        body = queries.paged(request, "markets", rows, self.shapes.market, key=queries.by_ticker, scope=scope)
        return web.json_response(body)

    async def _exchange_status(self, request: web.Request) -> web.Response:
        active = {"exchange_active": True, "trading_active": True, "intra_exchange_transfers_active": True}
        body = {
            **active,
            "exchange_estimated_resume_time": iso(self._upstream.now(request)),
            "exchange_index_statuses": [{"exchange_index": EXCHANGE_INDEX, "description": "event contracts", **active}],
        }
        return web.json_response(body)

    async def _user_data_timestamp(self, request: web.Request) -> web.Response:
        return web.json_response({"as_of_time": iso(self._view(request)[1])})
