"""The two forms of every REST answer: success around data, failure with message, code and id."""
# ruff: noqa: N815 - fields have the names of the JSON

from __future__ import annotations

from typing import Any

from pnl_backend.domain.times import iso
from pnl_backend.wire.message import UNSET, Always, IsoTime, Message, Never, UnsetType, encode, merged, raw


class Success(Message):
    """The envelope of an answer."""

    success: Always
    data: Any
    timestamp: IsoTime


class ErrorDetail(Message):
    """`id` is in the server's log too; `retryAfter` (s) with 429, `stack` in development only."""

    message: str
    code: str
    id: str
    retryAfter: int | UnsetType = UNSET
    stack: str | UnsetType = UNSET


class Failure(Message):
    success: Never
    error: ErrorDetail
    timestamp: IsoTime


def success_json(data: bytes, now_ms: int, *, beside: bytes | None = None) -> bytes:
    """Data that is JSON already in its envelope; the fields of the object `beside` are added to the envelope's own."""
    envelope = encode(Success(True, raw(data), iso(now_ms)))
    return envelope if beside is None else merged(envelope, beside)


def failure_json(error: ErrorDetail, now_ms: int) -> bytes:
    return encode(Failure(False, error, iso(now_ms)))
