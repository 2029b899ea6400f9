"""Kalshi's fills, settlements and transfers as JSON, read into ledger facts; both generations of fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar, cast

from pnl_backend.domain.ledger_facts import Fill, Settlement, Side, Transfer, TransferKind
from pnl_backend.domain.money import HUNDRED, ZERO
from pnl_backend.errors import InvalidResponse
from pnl_backend.sources.fields import (
    Object,
    contracts,
    decimal,
    dollars,
    moment,
    optional_text,
    refuse,
    text,
    whole,
)

Row = tuple[Object, str]
AnyFact = TypeVar("AnyFact", Fill, Settlement, Transfer)

_OTHER: dict[str, Side] = {"yes": "no", "no": "yes"}


def read_fills(rows: Sequence[Row], *, subaccount: int, read_at: int) -> tuple[Fill, ...]:
    """The rows of a page of `/portfolio/fills` or `/historical/fills`, newest first.

    Both times of a fill are optional: one without gets that of the row before it, else of the next one that has a
    time, else `read_at` (ms), and is marked.
    """
    fills: list[Fill] = []
    known = next((at for row, path in rows if (at := _time(row, path)) is not None), read_at)
    for row, path in rows:
        fill = read_fill(row, path, otherwise=known, subaccount=subaccount)
        known = fill.at
        fills.append(fill)
    return unique(fills)


def read_settlements(rows: Iterable[Row], *, subaccount: int) -> tuple[Settlement, ...]:
    """The rows of a page of `/portfolio/settlements`."""
    return unique(replace(read_settlement(row, path), subaccount=subaccount) for row, path in rows)


def read_fill(row: Object, path: str, *, otherwise: int, subaccount: int = 0) -> Fill:
    """One row of `/portfolio/fills`; `otherwise` (ms) is its time where it has none."""
    at = _time(row, path)
    count = contracts(row, "count", path)
    if count <= 0:
        refuse(path, "count_fp", "is not above 0", count)
    return Fill(
        fill_id=text(row, "fill_id" if row.get("fill_id") is not None else "trade_id", path),
        order_id=text(row, "order_id", path),
        ticker=text(row, "ticker" if row.get("ticker") is not None else "market_ticker", path),
        side=_side(row, path),
        count=count,
        yes_price=_yes_price(row, path),
        fee=decimal(row, "fee_cost", path),
        is_taker=_flag(row, "is_taker", path),
        at=otherwise if at is None else at,
        subaccount=subaccount,
        time_estimated=at is None,
    )


def read_settlement(row: Object, path: str) -> Settlement:
    """One row of `/portfolio/settlements`; `revenue` and `value` are integer cents in every generation."""
    value = None if row.get("value") is None else whole(row, "value", path) / HUNDRED
    return Settlement(
        ticker=text(row, "ticker", path),
        result=text(row, "market_result", path),
        yes_count=contracts(row, "yes_count", path),
        yes_cost=dollars(row, "yes_total_cost", path),
        no_count=contracts(row, "no_count", path),
        no_cost=dollars(row, "no_total_cost", path),
        revenue=whole(row, "revenue", path) / HUNDRED,
        value=value,
        fee=decimal(row, "fee_cost", path),
        at=moment(row, "settled_time", path),
    )


def read_transfers(rows: Iterable[Row], kind: TransferKind) -> tuple[Transfer, ...]:
    """The rows of `/portfolio/deposits` or `/portfolio/withdrawals`, in integer cents.

    Kalshi's documentation names no id. Two rows without one that agree in time and amount are two transfers: the
    second gets an id that says so.
    """
    seen: Counter[str] = Counter()
    transfers: list[Transfer] = []
    for row, path in rows:
        transfer = _transfer(row, path, kind)
        if transfer.id is None:
            seen[transfer.key] += 1
            if seen[transfer.key] > 1:
                transfer = replace(transfer, id=f"{transfer.key.partition(':')[2]}:{seen[transfer.key]}")
        transfers.append(transfer)
    return unique(transfers)


def _transfer(row: Object, path: str, kind: TransferKind) -> Transfer:
    return Transfer(
        kind=kind,
        id=optional_text(row, "id", path) or None,
        amount=whole(row, "amount_cents", path, least=0) / HUNDRED,
        fee=ZERO if row.get("fee_cents") is None else whole(row, "fee_cents", path, least=0) / HUNDRED,
        status=text(row, "status", path),
        created_at=_seconds(row, "created_ts", path),
        finalized_at=_seconds(row, "finalized_ts", path),
    )


def unique(facts: Iterable[AnyFact]) -> tuple[AnyFact, ...]:
    """Each fact once, although paging may bring it twice; two versions of one fact are refused."""
    found: dict[str, AnyFact] = {}
    for fact in facts:
        if found.setdefault(fact.key, fact) != fact:
            raise InvalidResponse(f"Kalshi: {fact.key!r} comes twice with different figures")
    return tuple(found.values())


def _side(row: Object, path: str) -> Side:
    """`outcome_side`, or what the deprecated `side` and `action` amount to."""
    side = optional_text(row, "outcome_side", path)
    if side is None and row.get("side") is not None and row.get("action") is not None:
        side, action = text(row, "side", path), text(row, "action", path)
        if action not in {"buy", "sell"}:
            refuse(path, "action", "is neither buy nor sell", action)
        side = _OTHER.get(side) if action == "sell" else side
    if side not in _OTHER:
        refuse(path, "outcome_side", "is missing" if side is None else "is neither yes nor no", side)
    return cast(Side, side)


def _yes_price(row: Object, path: str) -> Decimal:
    """`yes_price_dollars`; in recorded traffic `yes_price_fixed`; before both, cents."""
    name = "yes_price_fixed" if row.get("yes_price_fixed") is not None else "yes_price_dollars"
    if row.get("yes_price_dollars") is None and row.get(name) is not None:
        price = decimal(row, name, path)
    else:
        price = dollars(row, "yes_price", path)
    if not 0 <= price <= 1:
        refuse(path, name, "is not between 0 and 1", price)
    return price


def _time(row: Object, path: str) -> int | None:
    """`created_time` to the millisecond, else `ts_ms`, else `ts` to the second; None without any."""
    if row.get("created_time") is not None:
        return moment(row, "created_time", path)
    if row.get("ts_ms") is not None:
        return whole(row, "ts_ms", path, least=0)
    return _seconds(row, "ts", path)


def _seconds(row: Object, field: str, path: str) -> int | None:
    """Unix seconds as ms."""
    return None if row.get(field) is None else whole(row, field, path, least=0) * 1000


def _flag(row: Object, field: str, path: str) -> bool:
    value = row.get(field)
    if not isinstance(value, bool):
        refuse(path, field, "is missing" if value is None else "is not a boolean", value)
    return value
