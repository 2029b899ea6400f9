"""Rows of a range as a file: CSV or JSON, a batch at a time, so that any number of them needs little memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal

import orjson

COLUMNS = ("timestamp", "netPnL", "kalshiPnL", "costs", "revenue", "open", "high", "low", "close", "count")

Format = Literal["csv", "json"]
Rows = Sequence[Mapping[str, int | float]]


def encoded(batches: AsyncIterator[Rows], form: Format) -> AsyncIterator[bytes]:
    """The file, piece by piece; never empty, whatever there is to tell."""
    return _csv(batches) if form == "csv" else _json(batches)


async def _csv(batches: AsyncIterator[Rows]) -> AsyncIterator[bytes]:
    """A header line, then a line a row; money with two decimals."""
    head = ",".join(COLUMNS) + "\r\n"
    async for batch in batches:
        yield (head + "".join([_line(row) for row in batch])).encode()
        head = ""
    if head:
        yield head.encode()


def _line(row: Mapping[str, int | float]) -> str:
    money = ",".join([f"{row[name]:.2f}" for name in COLUMNS[1:-1]])
    return f"{row['timestamp']},{money},{row['count']}\r\n"


async def _json(batches: AsyncIterator[Rows]) -> AsyncIterator[bytes]:
    """One JSON list, a batch at a time."""
    lead = b"["
    async for batch in batches:
        if batch:
            yield lead + orjson.dumps(list(batch))[1:-1]
            lead = b",\n"
    yield b"]\n" if lead != b"[" else b"[]\n"
