"""Fills and settlements as rows of their tables."""

from __future__ import annotations

from decimal import Decimal

from pnl_backend.domain.ledger_facts import Fill, Settlement
from pnl_backend.domain.money import exact
from pnl_backend.ledger.sql.connection import Row


def fill_row(f: Fill) -> Row:
    sums = map(exact, (f.count, f.yes_price, f.fee))
    return f.fill_id, f.order_id, f.ticker, f.side, *sums, f.is_taker, f.at, f.subaccount, f.time_estimated


def read_fill(row: Row) -> Fill:
    """A row of the table of fills."""
    fill_id, order_id, ticker, side, count, yes_price, fee, is_taker, at, subaccount, time_estimated = row
    return Fill(
        fill_id=fill_id,
        order_id=order_id,
        ticker=ticker,
        side=side,
        count=Decimal(count),
        yes_price=Decimal(yes_price),
        fee=Decimal(fee),
        is_taker=bool(is_taker),
        at=at,
        subaccount=subaccount,
        time_estimated=bool(time_estimated),
    )


def settlement_row(s: Settlement) -> Row:
    sums = map(exact, (s.yes_count, s.yes_cost, s.no_count, s.no_cost, s.revenue))
    return (
        s.key,
        s.ticker,
        s.result,
        *sums,
        None if s.value is None else exact(s.value),
        exact(s.fee),
        s.at,
        s.subaccount,
    )


def read_settlement(row: Row) -> Settlement:
    _key, ticker, result, yes_count, yes_cost, no_count, no_cost, revenue, value, fee, at, subaccount = row
    return Settlement(
        ticker=ticker,
        result=result,
        yes_count=Decimal(yes_count),
        yes_cost=Decimal(yes_cost),
        no_count=Decimal(no_count),
        no_cost=Decimal(no_cost),
        revenue=Decimal(revenue),
        value=None if value is None else Decimal(value),
        fee=Decimal(fee),
        at=at,
        subaccount=subaccount,
    )
