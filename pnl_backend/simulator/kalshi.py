"""Kalshi's Trade API v2 as far as a P&L needs it: signed portfolio reads, markets, exchange status."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from .kalshi_shapes import Shapes, iso, transfer
from .paging import BadParameter, Row, page, whole
from .records import Fill, Generation, Market, Position, Settlement, dollars, truncated_cents
from .signing import PublicKey, load_public_key, verify
from .truth import portfolio_value_cents
from .upstream import Upstream
from .world import World

_CLOCK_WINDOW = 5.0
_TOKENS_PER_REQUEST = 10.0
_STATUS_FILTER = {
    "unopened": {"initialized"},
    "open": {"active"},
    "closed": {"closed", "inactive"},
    "settled": {"finalized", "determined"},
}
Answer = Callable[[web.Request], Awaitable[web.Response]]


class KalshiApi:
    """The account's REST routes; every `/portfolio` one needs a signature by a known key."""

    def __init__(
        self,
        world: World,
        upstream: Upstream,
        *,
        keys: Mapping[str, str],
        generation: Generation,
        tokens_per_second: float | None,
    ) -> None:
        self._keys: dict[str, PublicKey] = {}
        for key_id, pem in keys.items():
            self.admit(key_id, pem)
        self._world = world
        self._upstream = upstream
        self._generation: Generation = generation
        self._shapes = Shapes(generation)
        self._bucket = TokenBucket(tokens_per_second)
        signed = {
            "balance": self._balance,
            "positions": self._positions,
            "fills": self._fills,
            "settlements": self._settlements,
            "deposits": self._deposits,
            "withdrawals": self._withdrawals,
        }
        for name, handler in signed.items():
            upstream.add(f"/portfolio/{name}", self._guarded(handler, signed=True))
        upstream.add("/markets", self._guarded(self._markets, signed=False))
        upstream.add("/exchange/status", self._guarded(self._exchange_status, signed=False))

    def admit(self, key_id: str, pem: str) -> None:
        """Accept signatures by this public key."""
        self._keys[key_id] = load_public_key(pem)

    def _guarded(self, handler: Answer, *, signed: bool) -> Answer:
        async def guarded(request: web.Request) -> web.Response:
            if not self._bucket.take():
                return kalshi_error(429, None)
            if signed or "KALSHI-ACCESS-KEY" in request.headers:
                refusal = self.refusal(request)
                if refusal is not None:
                    return refusal
            try:
                return await handler(request)
            except BadParameter as error:
                return web.json_response(
                    {"code": "invalid_parameters", "message": str(error), "details": ""}, status=400
                )

        return guarded

    def refusal(self, request: web.Request) -> web.Response | None:
        """The 401 for a request that is unsigned, wrongly signed or out of time; None if it may pass."""
        headers = request.headers
        key_id = headers.get("KALSHI-ACCESS-KEY", "")
        stamp = headers.get("KALSHI-ACCESS-TIMESTAMP", "")
        signature = headers.get("KALSHI-ACCESS-SIGNATURE", "")
        if not (key_id and stamp and signature):
            return _unauthorized("signature_is_missing_from_headers", "missing authentication headers")
        try:
            at = int(stamp) / 1000
        except ValueError:
            return _unauthorized("header_timestamp_expired", "timestamp is not in milliseconds")
        if abs(self._upstream.now(request) - at) > _CLOCK_WINDOW:
            return _unauthorized("header_timestamp_expired", "timestamp is outside the accepted window")
        key = self._keys.get(key_id)
        if key is None:
            return _unauthorized("authentication_error", "authentication failed", "NOT_FOUND")
        # The path alone is signed, as it was sent; the query string is not.
        path = request.raw_path.partition("?")[0]
        if not verify(key, signature, f"{stamp}{request.method}{path}"):
            return _unauthorized("authentication_error", "authentication failed", "INCORRECT_API_KEY_SIGNATURE")
        return None

    async def _balance(self, request: web.Request) -> web.Response:
        subaccount = _subaccount(request, default=0) or 0
        cash = self._world.account.balance(subaccount)
        body: dict[str, Any] = {
            "balance": truncated_cents(cash),
            "portfolio_value": portfolio_value_cents(self._world, subaccount, self._generation),
            "updated_ts": int(self._upstream.now(request)),
        }
        if self._generation != "cents":
            body["balance_dollars"] = dollars(cash)
        return web.json_response(body)

    async def _positions(self, request: web.Request) -> web.Response:
        query = request.query
        status = query.get("settlement_status", "unsettled")
        if status not in ("all", "settled", "unsettled"):
            raise BadParameter("settlement_status must be all, settled or unsettled")
        counted = [part for part in query.get("count_filter", "").split(",") if part]
        if set(counted) - {"position", "total_traded"}:
            raise BadParameter("count_filter must be position or total_traded")
        subaccount = _subaccount(request, default=0)

        def wanted(held: Position) -> bool:
            return (
                held.subaccount == subaccount
                and (status == "all" or held.settled == (status == "settled"))
                and ("position" not in counted or held.quantity != 0)
                and ("total_traded" not in counted or held.total_traded != 0)
                and _named(request, held.ticker)
            )

        rows = [held for held in self._world.account.positions.values() if wanted(held)]
        shown, cursor = page(rows, query.get("cursor", ""), _limit(request))
        body = {
            "market_positions": [self._shapes.position(held) for held in shown],
            "event_positions": self._shapes.events(shown),
            "cursor": cursor,
        }
        return web.json_response(body)

    async def _fills(self, request: web.Request) -> web.Response:
        order = request.query.get("order_id")
        rows = _newest(request, self._world.account.fills)
        rows = [fill for fill in rows if order is None or fill.order_id == order]
        return _paged(request, "fills", rows, self._shapes.fill)

    async def _settlements(self, request: web.Request) -> web.Response:
        rows = _newest(request, self._world.account.settlements)
        return _paged(request, "settlements", rows, self._shapes.settlement)

    async def _deposits(self, request: web.Request) -> web.Response:
        return self._transfers(request, "deposit")

    async def _withdrawals(self, request: web.Request) -> web.Response:
        return self._transfers(request, "withdrawal")

    def _transfers(self, request: web.Request, kind: str) -> web.Response:
        rows = [row for row in reversed(self._world.account.transfers) if row.kind == kind]
        return _paged(request, f"{kind}s", rows, transfer, most=500)

    async def _markets(self, request: web.Request) -> web.Response:
        query = request.query
        tickers = {name for name in query.get("tickers", "").split(",") if name}
        statuses: set[str] = set()
        for name in filter(None, query.get("status", "").split(",")):
            if name not in _STATUS_FILTER:
                raise BadParameter("status must be unopened, open, closed or settled")
            statuses |= _STATUS_FILTER[name]
        rows = [
            _NumberedMarket(index, market)
            for index, market in enumerate(self._world.markets.values())
            if (not tickers or market.ticker in tickers) and (not statuses or market.status in statuses)
        ]
        return _paged(request, "markets", rows, lambda row: self._shapes.market(row.market))

    async def _exchange_status(self, request: web.Request) -> web.Response:
        body = {
            "exchange_active": True,
            "trading_active": True,
            "exchange_estimated_resume_time": iso(self._upstream.now(request)),
        }
        return web.json_response(body)


class TokenBucket:
    """Tokens that come back with time; a request takes ten and a second's worth may be saved up."""

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._left = per_second or 0.0
        self._at = time.monotonic()

    def take(self) -> bool:
        if self._per_second is None:
            return True
        now = time.monotonic()
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < _TOKENS_PER_REQUEST:
            return False
        self._left -= _TOKENS_PER_REQUEST
        return True


class _NumberedMarket:
    def __init__(self, seq: int, market: Market) -> None:
        self.seq = seq
        self.market = market


def kalshi_error(status: int, retry_after: float | None) -> web.Response:
    """An error in one of Kalshi's shapes: nested for what it calls its own, flat for 503, bare for the rest."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    body: dict[str, Any]
    if status == 429:
        body = {"error": "too many requests"}
    elif status in (401, 403, 404):
        codes = {401: "authentication_error", 403: "permission_denied", 404: "not_found"}
        code = codes[status]
        body = {"error": {"code": code, "message": code.replace("_", " "), "service": "gateway"}}
    elif status == 503:
        body = {"code": "service_unavailable", "message": "service unavailable", "details": "maintenance"}
    else:
        body = {"msg": "internal server error" if status >= 500 else "bad request"}
    return web.json_response(body, status=status, headers=headers)


def _unauthorized(code: str, message: str, details: str = "") -> web.Response:
    error = {"code": code, "message": message, "service": "gateway"}
    if details:
        error["details"] = details
    return web.json_response({"error": error}, status=401)


def _limit(request: web.Request, most: int = 1000) -> int:
    return whole(request.query.get("limit"), "limit", default=100, low=1, high=most)


def _subaccount(request: web.Request, *, default: int | None) -> int | None:
    text = request.query.get("subaccount")
    if text is None:
        return default
    return whole(text, "subaccount", default=0, low=0, high=32)


def _named(request: web.Request, ticker: str) -> bool:
    query = request.query
    if "ticker" in query and ticker != query["ticker"]:
        return False
    events = [name for name in query.get("event_ticker", "").split(",") if name]
    return not events or ticker.rpartition("-")[0] in events


Timed = Fill | Settlement


def _newest(request: web.Request, rows: Sequence[Any]) -> list[Any]:
    """Fills or settlements that the query asks for, newest first; all subaccounts unless one is named."""
    query = request.query
    low = whole(query.get("min_ts"), "min_ts", default=0, low=0, high=10**12)
    high = whole(query.get("max_ts"), "max_ts", default=10**12, low=0, high=10**12)
    subaccount = _subaccount(request, default=None)

    def wanted(row: Timed) -> bool:
        in_scope = subaccount is None or row.subaccount == subaccount
        return in_scope and low <= int(row.ts) <= high and _named(request, row.ticker)

    return [row for row in reversed(rows) if wanted(row)]


def _paged(
    request: web.Request, name: str, rows: Sequence[Row], shape: Callable[[Row], Any], *, most: int = 1000
) -> web.Response:
    shown, cursor = page(rows, request.query.get("cursor", ""), _limit(request, most))
    return web.json_response({name: [shape(row) for row in shown], "cursor": cursor})
