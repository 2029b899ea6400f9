"""The messages of Kalshi's WebSocket feed: strings only, whatever the generation of the REST API."""

from __future__ import annotations

import uuid

from pnl_backend.sources.simulated.units import ZERO

from .exchange import Event
from .records import EXCHANGE_INDEX, Fill, Market, Position, contracts, dollars
from .shapes import Json, iso


def feed_message(event: Event, now_ms: int) -> Json:
    """An event as a message of the WebSocket feed: strings only, in each generation."""
    if event.kind == "ticker":
        return _ticker(event.market, now_ms)
    if event.lifecycle is not None:
        return _lifecycle(event, now_ms)
    held = event.position
    if held is None:
        raise ValueError(f"a {event.kind} event needs a position")
    scope = {"subaccount": held.subaccount} if held.subaccount else {}
    if event.fill is None:
        return {"user_id": event.user_id, **_position(held), **scope}
    return {**_fill(event.fill, held), **_times(now_ms), **scope}


def _ticker(market: Market, now_ms: int) -> Json:
    return {
        "market_id": market_id(market.ticker),
        "market_ticker": market.ticker,
        "price_dollars": dollars(market.last_price),
        "yes_bid_dollars": dollars(market.yes_bid),
        "yes_ask_dollars": dollars(market.yes_ask),
        "yes_bid_size_fp": "100.00",
        "yes_ask_size_fp": "100.00",
        "last_trade_size_fp": "1.00",
        "volume_fp": "1000.00",
        "open_interest_fp": "500.00",
        "dollar_volume": 500,
        "dollar_open_interest": 250,
        **_times(now_ms),
        "time": iso(now_ms / 1000),
    }


def _position(held: Position) -> Json:
    return {
        "market_ticker": held.ticker,
        "position_fp": contracts(held.quantity),
        "position_cost_dollars": dollars(held.exposure),
        "realized_pnl_dollars": dollars(held.realized_pnl),
        "fees_paid_dollars": dollars(held.fees_paid),
        "position_fee_cost_dollars": dollars(held.fees_paid if held.quantity else ZERO),
        "volume_fp": contracts(held.volume),
    }


def _fill(fill: Fill, held: Position) -> Json:
    return {
        "trade_id": fill.fill_id,
        "order_id": fill.order_id,
        "market_ticker": fill.ticker,
        "exchange_index": EXCHANGE_INDEX,
        "is_taker": fill.is_taker,
        "yes_price_dollars": dollars(fill.yes_price),
        "count_fp": contracts(fill.count),
        "fee_cost": dollars(fill.fee),
        "outcome_side": fill.outcome,
        "book_side": "bid" if fill.outcome == "yes" else "ask",
        "side": fill.outcome,
        "action": "buy",
        "purchased_side": fill.outcome,
        "post_position_fp": contracts(held.quantity),
    }


def market_id(ticker: str) -> str:
    """The UUID of a market; the same for the same ticker."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, ticker))


def _lifecycle(event: Event, now_ms: int) -> Json:
    market = event.market
    message: Json = {"event_type": event.lifecycle, "market_ticker": market.ticker}
    if event.lifecycle == "settled":
        return {**message, "settled_ts": int(market.settlement_ts or now_ms // 1000)}
    value = market.settlement_value
    settled = {} if value is None else {"settlement_value": dollars(value)}
    return {**message, "result": market.result, "determination_ts": now_ms // 1000, **settled}


def _times(now_ms: int) -> Json:
    return {"ts": now_ms // 1000, "ts_ms": now_ms}
