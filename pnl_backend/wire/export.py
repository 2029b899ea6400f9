"""Rows of a range as a file: CSV or JSON, a batch at a time, so that any number of them needs little memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Literal
from zoneinfo import ZoneInfo

import orjson

from pnl_backend.domain.times import business_date

COLUMNS = ("timestamp", "netPnL", "kalshiPnL", "costs", "revenue", "open", "high", "low", "close", "count")

DATE = "date"
"""The last column of daily rows: the business day that begins at the row's timestamp."""

Format = Literal["csv", "json"]
Rows = Sequence[Mapping[str, int | float]]


def encoded(
    batches: AsyncIterator[Rows], form: Format, *, days_of: ZoneInfo | None = None
) -> AsyncGenerator[bytes, None]:
    """The file, piece by piece; never empty, even without rows. `days_of` is the business zone, for daily rows only."""
    return _csv(batches, days_of) if form == "csv" else _json(batches, days_of)


def dated(rows: Rows, zone: ZoneInfo) -> list[dict[str, int | float | str]]:
    """Daily rows with the date (YYYY-MM-DD) of their business day."""
    return [{**row, DATE: _date(row, zone)} for row in rows]


async def _csv(batches: AsyncIterator[Rows], days_of: ZoneInfo | None) -> AsyncGenerator[bytes, None]:
    """A header line, then a line a row; money with two decimals."""
    head = ",".join(COLUMNS if days_of is None else (*COLUMNS, DATE)) + "\r\n"
    async for batch in batches:
        yield (head + "".join([_line(row, days_of) for row in batch])).encode()
        head = ""
    if head:
        yield head.encode()


def _line(row: Mapping[str, int | float], days_of: ZoneInfo | None) -> str:
    money = ",".join([f"{row[name]:.2f}" for name in COLUMNS[1:-1]])
    day = "" if days_of is None else f",{_date(row, days_of)}"
    return f"{row['timestamp']},{money},{row['count']}{day}\r\n"


def _date(row: Mapping[str, int | float], zone: ZoneInfo) -> str:
    return business_date(int(row["timestamp"]), zone).isoformat()


async def _json(batches: AsyncIterator[Rows], days_of: ZoneInfo | None) -> AsyncGenerator[bytes, None]:
    """One JSON list, a batch at a time."""
    lead = b"["
    async for batch in batches:
        if batch:
            rows = list(batch) if days_of is None else dated(batch, days_of)
            yield lead + orjson.dumps(rows)[1:-1]
            lead = b",\n"
    yield b"]\n" if lead != b"[" else b"[]\n"
