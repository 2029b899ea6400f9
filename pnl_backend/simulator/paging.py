"""Cursor paging over rows that carry a rising number, and the checks on integer parameters."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Protocol, TypeVar


class Numbered(Protocol):
    @property
    def seq(self) -> int: ...


Row = TypeVar("Row", bound=Numbered)


class BadParameter(ValueError):
    """A query parameter that the API refuses; the text is what it says."""


def whole(text: str | None, name: str, *, default: int, low: int, high: int) -> int:
    """An integer parameter within its range."""
    if text is None or text == "":
        return default
    try:
        value = int(text)
    except ValueError:
        raise BadParameter(f"{name} must be an integer") from None
    if not low <= value <= high:
        raise BadParameter(f"{name} must be between {low} and {high}")
    return value


def page(rows: Sequence[Row], cursor: str, limit: int) -> tuple[list[Row], str]:
    """Rows after the cursor and the next cursor, "" on the last page; a cursor that makes no sense starts over."""
    last = _decoded(cursor)
    # The cursor names the row it stopped at, not a count, so rows that come in meanwhile shift nothing.
    start = 0
    if last is not None:
        at = next((index for index, row in enumerate(rows) if row.seq == last), None)
        start = 0 if at is None else at + 1
    shown = list(rows[start : start + limit])
    more = start + limit < len(rows)
    return shown, _encoded(shown[-1].seq) if more else ""


def _encoded(seq: int) -> str:
    return base64.urlsafe_b64encode(f"seq:{seq}".encode()).decode()


def _decoded(cursor: str) -> int | None:
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
        return int(text.removeprefix("seq:")) if text.startswith("seq:") else None
    except (binascii.Error, ValueError):
        return None
