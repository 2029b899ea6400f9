"""Kalshi's JSON for what the account holds, in the string fields, the integer-cent fields, or both."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pnl_backend.sources.simulated.units import CENT, ZERO

from .records import (
    EXCHANGE_INDEX,
    ONE,
    Fill,
    Generation,
    Market,
    Position,
    Settlement,
    SubaccountTransfer,
    Transfer,
    cents,
    contracts,
    dollars,
    event_of,
)

Json = dict[str, Any]
_OPEN_FOR = 30 * 86_400


class Shapes:
    """Writes each record in one generation of the API."""

    def __init__(self, generation: Generation) -> None:
        self._strings = generation != "cents"
        self._integers = generation != "strings"
        # The oldest generation is older than the exchange's shards.
        self._shard: Json = {"exchange_index": EXCHANGE_INDEX} if self._strings else {}

    def _money(self, into: Json, name: str, value: Decimal, *, text: str | None = None) -> None:
        if self._integers:
            into[name] = cents(value)
        if self._strings:
            into[text or f"{name}_dollars"] = dollars(value)

    def _count(self, into: Json, name: str, value: Decimal) -> None:
        if self._integers:
            into[name] = int(value)
        if self._strings:
            into[f"{name}_fp"] = contracts(value)

    def position(self, held: Position) -> Json:
        row: Json = {"ticker": held.ticker, **self._shard}
        self._count(row, "position", held.quantity)
        self._money(row, "market_exposure", held.exposure)
        self._money(row, "realized_pnl", held.realized_pnl)
        self._money(row, "fees_paid", held.fees_paid)
        self._money(row, "total_traded", held.total_traded)
        if self._integers:
            row["resting_orders_count"] = 0
        return {**row, "last_updated_ts": iso(held.updated_ts)}

    def events(self, positions: Iterable[Position]) -> list[Json]:
        """Positions added up by event."""
        by_event: dict[str, list[Decimal]] = {}
        for held in positions:
            sums = by_event.setdefault(held.event_ticker, [ZERO] * 5)
            parts = (held.total_traded, held.volume, held.exposure, held.realized_pnl, held.fees_paid)
            for index, part in enumerate(parts):
                sums[index] += part
        rows = []
        for event, (traded, volume, exposure, realized, fees) in by_event.items():
            row: Json = {"event_ticker": event}
            self._money(row, "total_cost", traded)
            self._count(row, "total_cost_shares", volume)
            self._money(row, "event_exposure", exposure)
            self._money(row, "realized_pnl", realized)
            self._money(row, "fees_paid", fees)
            rows.append(row)
        return rows

    def fill(self, fill: Fill) -> Json:
        row: Json = {
            "fill_id": fill.fill_id,
            "trade_id": fill.fill_id,
            "order_id": fill.order_id,
            **self._shard,
            "ticker": fill.ticker,
            "market_ticker": fill.ticker,
            "outcome_side": fill.outcome,
            "book_side": "bid" if fill.outcome == "yes" else "ask",
            "is_taker": fill.is_taker,
            "fee_cost": dollars(fill.fee),
            "created_time": iso(fill.ts),
            "ts": int(fill.ts),
            "subaccount_number": fill.subaccount,
        }
        self._count(row, "count", fill.count)
        if self._integers:
            row |= {"side": fill.outcome, "action": "buy", "price": float(fill.yes_price)}
            row |= {"yes_price": cents(fill.yes_price), "no_price": cents(ONE - fill.yes_price)}
        if self._strings:
            row |= {
                "yes_price_dollars": dollars(fill.yes_price),
                "no_price_dollars": dollars(ONE - fill.yes_price),
            }
        if self._strings and self._integers:
            row |= {
                "yes_price_fixed": dollars(fill.yes_price),
                "no_price_fixed": dollars(ONE - fill.yes_price),
            }
        return row

    def settlement(self, paid: Settlement) -> Json:
        row: Json = {
            "ticker": paid.ticker,
            **self._shard,
            "event_ticker": event_of(paid.ticker),
            "market_result": paid.result,
            "revenue": cents(paid.revenue),
            "value": cents(paid.value),
            "fee_cost": dollars(paid.fee),
            "settled_time": iso(paid.ts),
        }
        self._count(row, "yes_count", paid.yes_count)
        self._count(row, "no_count", paid.no_count)
        self._money(row, "yes_total_cost", paid.yes_cost)
        self._money(row, "no_total_cost", paid.no_cost)
        return row

    def market(self, market: Market) -> Json:
        row: Json = {
            "ticker": market.ticker,
            "event_ticker": market.event_ticker,
            "market_type": "scalar" if market.result == "scalar" else "binary",
            "title": market.title,
            "status": market.status,
            "result": market.result,
            "settlement_ts": None if market.settlement_ts is None else iso(market.settlement_ts),
        }
        self._money(row, "yes_bid", market.yes_bid)
        self._money(row, "yes_ask", market.yes_ask)
        self._money(row, "no_bid", market.no_bid)
        self._money(row, "no_ask", market.no_ask)
        self._money(row, "last_price", market.last_price)
        if market.settlement_value is not None:
            self._money(row, "settlement_value", market.settlement_value)
        elif self._strings:
            row["settlement_value_dollars"] = None
        return {**row, **market_details(market), **self._shard} if self._strings else row


def transfer(row: Transfer) -> Json:
    """A deposit or a withdrawal: cents in every generation."""
    return {
        "id": row.id,
        "type": "ach",
        "status": row.status,
        "amount_cents": row.amount_cents,
        "fee_cents": row.fee_cents,
        "created_ts": int(row.created_ts),
        "finalized_ts": None if row.finalized_ts is None else int(row.finalized_ts),
    }


def subaccount_transfer(row: SubaccountTransfer) -> Json:
    """Cash moved between two subaccounts."""
    return {
        "transfer_id": row.id,
        "from_subaccount": row.source,
        "to_subaccount": row.target,
        "amount_cents": row.amount_cents,
        "created_ts": int(row.ts),
        "exchange_index": EXCHANGE_INDEX,
    }


def market_details(market: Market) -> Json:
    """Each market's fields besides its quotes; none of them affects a figure."""
    opened, closes = iso(market.opened_ts), market.settlement_ts or market.opened_ts + _OPEN_FOR
    return {
        "yes_sub_title": market.title,
        "no_sub_title": market.title,
        "created_time": opened,
        "updated_time": opened,
        "open_time": opened,
        "close_time": iso(closes),
        "latest_expiration_time": iso(closes),
        "settlement_timer_seconds": 60,
        "yes_bid_size_fp": "100.00" if market.yes_bid else "0.00",
        "yes_ask_size_fp": "100.00" if market.yes_ask < ONE else "0.00",
        "volume_fp": "1000.00",
        "volume_24h_fp": "100.00",
        "open_interest_fp": "500.00",
        "notional_value_dollars": dollars(ONE),
        "previous_yes_bid_dollars": dollars(market.yes_bid),
        "previous_yes_ask_dollars": dollars(market.yes_ask),
        "previous_price_dollars": dollars(market.last_price),
        "can_close_early": True,
        "settlement_bounds_type": "default",
        "expiration_value": market.result,
        "rules_primary": f"Resolves to YES: {market.title}.",
        "rules_secondary": "",
        "price_level_structure": "linear_cent" if market.tick == CENT else "deci_cent",
        "price_ranges": [{"start": dollars(ZERO), "end": dollars(ONE), "step": dollars(market.tick)}],
    }


def iso(at: float) -> str:
    """RFC 3339 in UTC with microseconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
