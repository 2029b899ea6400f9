"""What is answered about the past: snapshots, or the rows of a range, as one answer or as a file of any length."""
# ruff: noqa: N815 - fields have the names of the JSON

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Annotated, Literal, Protocol
from zoneinfo import ZoneInfo

import msgspec
from msgspec import field
from msgspec.structs import replace

from pnl_backend.domain.record import Record, Restatement
from pnl_backend.domain.times import business_date, iso
from pnl_backend.wire.message import (
    UNSET,
    Always,
    Count,
    IsoTime,
    Message,
    Meta,
    Millis,
    UnsetType,
    encode,
    merged,
    raw,
)
from pnl_backend.wire.models import Snapshot

Resolution = Literal["raw", "1m", "5m", "15m", "1h", "4h", "1d", "1w"]
"""What one row of a range covers."""
Format = Literal["csv", "json"]


class HistoryRow(Message):
    """One instant or one interval: open, high, low and close of net P&L, and the last of the other figures; USD."""

    timestamp: Millis
    netPnL: float
    kalshiPnL: float
    costs: float
    revenue: float
    open: float
    high: float
    low: float
    close: float
    count: Count
    date: Annotated[
        str | UnsetType,
        Meta(description="With resolution 1d and 1w only: the business day that the row begins with, YYYY-MM-DD."),
    ] = UNSET
    imported: Annotated[
        Always | UnsetType, Meta(description="In rows that `pnl-backend import` took over, and in no other.")
    ] = UNSET
    degraded: Annotated[list[str], Meta(description="Sources that were not live at any time in the row.")] = field(
        default_factory=list
    )
    estimated: Annotated[bool, Meta(description="Whether any figure in the row is an estimate.")] = False
    complete: Annotated[
        bool,
        Meta(
            description="Whether the figures are those of complete snapshots, to which each configured source had "
            "given its whole history; others do not count where there is one. False in imported rows."
        ),
    ] = True
    restated: Annotated[
        Always | UnsetType,
        Meta(description="The history was found wrong later and is shown as it was published; see `restatements`."),
    ] = UNSET


Rows = Sequence[HistoryRow]
COLUMNS = HistoryRow.__struct_fields__[:10]
"""The figures of every row."""
MARKS = ("degraded", "estimated", "complete", "restated")
"""The last columns of a file: names parted by spaces, then true or false."""
_TAIL = 60
"""Bytes at the end of a snapshot's JSON that contain its marks."""


class History(Protocol):
    """Stored snapshots and rows; a ledger that cannot be read raises StoreError."""

    @property
    def restatements(self) -> Sequence[Restatement]:
        """Each reason why older snapshots are shown as they were published, though they were wrong."""

    async def newest(self, limit: int, /) -> Sequence[Record]:
        """The newest `limit` snapshots, oldest first."""

    async def history(self, start: int, end: int, resolution: Resolution, /, *, limit: int | None = None) -> Rows:
        """The rows of start <= timestamp <= end (ms), oldest first; with a limit the newest of them.

        Raises BadRequest where there is no limit and the range holds more rows than one answer does.
        """

    def export(self, start: int, end: int, resolution: Resolution, /) -> AsyncIterator[Rows]:
        """The same rows in batches, however many there are, in flat memory."""


class RestatementRow(Message):
    """History was found wrong: what was published up to `toSeq` stays as it is, and nothing is compared with it."""

    at: IsoTime
    source: str
    reason: str
    toSeq: Count


class _History(Message):
    count: Count
    timestamp: IsoTime
    limited: Annotated[
        Always | UnsetType, Meta(description="Where `limit` asked for more than is answered at most.")
    ] = UNSET
    restatements: Annotated[
        list[RestatementRow], Meta(description="Why rows are marked as restated, oldest first.")
    ] = field(default_factory=list)


class SnapshotHistory(_History, kw_only=True):
    """Snapshots, oldest first: the answer to a request without a range."""

    data: list[Snapshot]


class RangeHistory(_History, kw_only=True):
    """The rows of a range, oldest first."""

    data: list[HistoryRow]


def snapshots_json(
    records: Sequence[Record], now_ms: int, *, limited: bool, restatements: Sequence[Restatement] = ()
) -> bytes:
    """Snapshots, as they were published; marks that older ones lack are added at their end."""
    rows = raw(b"[" + b",".join([_marked(record) for record in records]) + b"]")
    cut, why = True if limited else UNSET, _reasons(restatements)
    return encode(SnapshotHistory(len(records), iso(now_ms), cut, why, data=rows))


def range_json(
    rows: Rows, now_ms: int, *, limited: bool, days_of: ZoneInfo | None, restatements: Sequence[Restatement] = ()
) -> bytes:
    """`days_of` is the business zone, for rows that begin with a business day only."""
    cut, why = True if limited else UNSET, _reasons(restatements)
    return encode(RangeHistory(len(rows), iso(now_ms), cut, why, data=_dated(rows, days_of)))


def _reasons(restatements: Sequence[Restatement]) -> list[RestatementRow]:
    return [RestatementRow(iso(each.at), each.source, each.reason, each.to_seq) for each in restatements]


def _marked(record: Record) -> bytes:
    """A snapshot's JSON with its marks; it begins with its own fields, of which none has these names."""
    added: dict[str, bool] = {}
    if b'"complete":' not in record.data[-_TAIL:]:
        added = {"estimated": record.marks.estimated, "complete": record.marks.complete}
    if record.restated:
        added["restated"] = True
    return merged(record.data, encode(added)) if added else record.data


_DECODER = msgspec.json.Decoder(list[HistoryRow])


def decoded_rows(data: bytes) -> list[HistoryRow]:
    """Rows that were encoded; raises ValueError for anything else."""
    return _DECODER.decode(data)


def encoded(
    batches: AsyncIterator[Rows], form: Format, *, days_of: ZoneInfo | None = None
) -> AsyncGenerator[bytes, None]:
    """Rows as a file, a batch at a time, so that any number of them needs little memory; never empty."""
    return _csv(batches, days_of) if form == "csv" else _json(batches, days_of)


async def _csv(batches: AsyncIterator[Rows], days_of: ZoneInfo | None) -> AsyncGenerator[bytes, None]:
    """A header line, then a line a row; money with two decimals."""
    head = ",".join((*COLUMNS, *MARKS) if days_of is None else (*COLUMNS, "date", *MARKS)) + "\r\n"
    async for batch in batches:
        yield (head + "".join([_line(row) for row in _dated(batch, days_of)])).encode()
        head = ""
    if head:
        yield head.encode()


def _line(row: HistoryRow) -> str:
    money = ",".join([f"{getattr(row, name):.2f}" for name in COLUMNS[1:-1]])
    day = "" if row.date is UNSET else f",{row.date}"
    flags = [row.estimated, row.complete, row.restated is True]
    marks = ",".join([" ".join(row.degraded), *("true" if flag else "false" for flag in flags)])
    return f"{row.timestamp},{money},{row.count}{day},{marks}\r\n"


async def _json(batches: AsyncIterator[Rows], days_of: ZoneInfo | None) -> AsyncGenerator[bytes, None]:
    """One JSON list, a batch at a time."""
    lead = b"["
    async for batch in batches:
        if batch:
            yield lead + encode(_dated(batch, days_of))[1:-1]
            lead = b",\n"
    yield b"]\n" if lead != b"[" else b"[]\n"


def _dated(rows: Rows, zone: ZoneInfo | None) -> list[HistoryRow]:
    """With a zone, rows with the date (YYYY-MM-DD) of their business day."""
    if zone is None:
        return list(rows)
    return [replace(row, date=business_date(row.timestamp, zone).isoformat()) for row in rows]
