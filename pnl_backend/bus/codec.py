"""A snapshot's record as the body of a stream entry: JSON, with the published JSON in it byte for byte."""

from __future__ import annotations

import msgspec

from pnl_backend.domain.record import Marks, Record
from pnl_backend.wire.message import Message, encode, raw


class _Body(Message):
    """Sums in cents, `at` in ms."""

    epoch: str
    seq: int
    at: int
    net: int
    kalshi: int
    costs: int
    revenue: int
    complete: bool
    whole: tuple[str, ...]
    notLive: tuple[str, ...]  # noqa: N815 - a name on the wire
    estimated: bool
    data: msgspec.Raw
    detail: msgspec.Raw


_DECODER = msgspec.json.Decoder(_Body)


def encoded(record: Record) -> bytes:
    """The record as JSON."""
    marks = record.marks
    return encode(
        _Body(
            record.epoch,
            record.seq,
            record.at,
            record.net_cents,
            record.kalshi_cents,
            record.costs_cents,
            record.revenue_cents,
            marks.complete,
            marks.whole,
            marks.not_live,
            marks.estimated,
            raw(record.data),
            raw(record.detail),
        )
    )


def decoded(body: bytes) -> Record:
    """The record of such JSON; ValueError for anything else."""
    try:
        held = _DECODER.decode(body)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a snapshot: {error}") from error
    return Record(
        epoch=held.epoch,
        seq=held.seq,
        at=held.at,
        net_cents=held.net,
        kalshi_cents=held.kalshi,
        costs_cents=held.costs,
        revenue_cents=held.revenue,
        data=bytes(held.data),
        detail=bytes(held.detail),
        marks=Marks(held.complete, held.whole, held.notLive, held.estimated),
    )
