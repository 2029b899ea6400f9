"""Readings to JSON and back, exactly: decimals as strings, so that Redis and SQLite hold what was learned to the digit.

Decoding checks the shape: bytes that are not ours raise `ValueError` instead of becoming a wrong number.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import orjson

from pnl_backend.domain.readings import (
    AnthropicSpend,
    CostRow,
    Deal,
    DealStatus,
    Fetched,
    KalshiPortfolio,
    MarkSource,
    Position,
    Revenue,
)

VERSION = 1


def encode(fetched: Fetched[Any]) -> bytes:
    """One fetched value as JSON bytes: `{"v": 1, "kind", "as_of", "value"}`."""
    kind, value = _dump(fetched.value)
    return orjson.dumps({"v": VERSION, "kind": kind, "as_of": fetched.as_of, "value": value})


def decode(data: bytes) -> Fetched[Any]:
    """The inverse of `encode`; raises ValueError for anything else."""
    try:
        document = orjson.loads(data)
        if document["v"] != VERSION:
            raise ValueError(f"reading of version {document['v']!r}, expected {VERSION}")
        return Fetched(_load(document["kind"], document["value"]), int(document["as_of"]))
    except (KeyError, TypeError, IndexError, InvalidOperation, orjson.JSONDecodeError) as error:
        raise ValueError(f"not a reading: {error!r}") from error


def _dump(value: object) -> tuple[str, list[Any]]:
    if isinstance(value, KalshiPortfolio):
        worth = None if value.portfolio_value is None else str(value.portfolio_value)
        return "kalshi", [str(value.balance), worth, [_dump_position(p) for p in value.positions]]
    if isinstance(value, AnthropicSpend):
        rows = [[r.day.isoformat(), r.model, r.workspace_id, str(r.amount), r.api_key_id] for r in value.rows]
        return "anthropic", [
            value.since.isoformat(),
            value.today.isoformat(),
            value.estimated,
            list(value.notes),
            rows,
        ]
    if isinstance(value, Revenue):
        deals = [[d.id, d.name, str(d.amount), d.status, d.closed_at] for d in value.deals]
        return "johns", [str(value.invoiced), str(value.collected), str(value.pipeline), deals]
    raise TypeError(f"not a reading's value: {type(value).__name__}")


def _dump_position(p: Position) -> list[str | None]:
    mark = None if p.mark is None else str(p.mark)
    return [p.ticker, str(p.quantity), str(p.cost), str(p.realized_pnl), str(p.fees), mark, p.mark_source]


def _load(kind: str, value: list[Any]) -> KalshiPortfolio | AnthropicSpend | Revenue:
    if kind == "kalshi":
        balance, worth, positions = value
        return KalshiPortfolio(_money(balance), tuple(map(_load_position, positions)), _money_or_none(worth))
    if kind == "anthropic":
        since, today, estimated, notes, rows = value
        return AnthropicSpend(
            since=date.fromisoformat(since),
            today=date.fromisoformat(today),
            rows=tuple(
                CostRow(date.fromisoformat(day), model, workspace, _money(amount), api_key)
                for day, model, workspace, amount, api_key in rows
            ),
            estimated=bool(estimated),
            notes=tuple(map(str, notes)),
        )
    if kind == "johns":
        invoiced, collected, pipeline, deals = value
        return Revenue(
            _money(invoiced),
            _money(collected),
            _money(pipeline),
            tuple(
                Deal(str(i), str(name), _money(amount), cast(DealStatus, status), closed_at)
                for i, name, amount, status, closed_at in deals
            ),
        )
    raise ValueError(f"reading of unknown kind {kind!r}")


def _load_position(row: list[Any]) -> Position:
    ticker, quantity, cost, realized, fees, mark, mark_source = row
    return Position(
        str(ticker),
        _money(quantity),
        _money(cost),
        _money(realized),
        _money(fees),
        _money_or_none(mark),
        cast("MarkSource | None", mark_source),
    )


def _money(text: object) -> Decimal:
    if not isinstance(text, str):
        raise TypeError(f"money must be a string, got {type(text).__name__}")
    amount = Decimal(text)
    if not amount.is_finite():
        raise ValueError(f"money must be finite, got {text}")
    return amount


def _money_or_none(text: object) -> Decimal | None:
    return None if text is None else _money(text)
