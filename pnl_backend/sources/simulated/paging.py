"""Cursor paging over rows that have a sort key, and the checks on integer parameters."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Row = TypeVar("Row")
Key = tuple[Any, ...]


class BadParameter(ValueError):
    """A query parameter that the API refuses; the text is its message."""


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


def page(
    rows: Iterable[Row],
    last: Key | None,
    limit: int,
    *,
    key: Callable[[Row], Key],
    scope: str,
    newest_first: bool = False,
) -> tuple[list[Row], str]:
    """Up to `limit` rows after the key `last`, and the next cursor ("" on the last page).

    `rows` are in the order of their keys, or in the opposite order with `newest_first`. The cursor names the row at
    which the page ended, not a count, so rows that are added or removed meanwhile shift nothing.
    """
    shown: list[Row] = []
    for row in rows:
        if last is not None and (key(row) >= last if newest_first else key(row) <= last):
            continue
        if len(shown) == limit:
            return shown, write_cursor(scope, key(shown[-1]))
        shown.append(row)
    return shown, ""


def write_cursor(scope: str, key: Key) -> str:
    """An opaque cursor; it is good for lists of the same scope alone."""
    return base64.urlsafe_b64encode(json.dumps([scope, *key]).encode()).decode()


def read_cursor(cursor: str, scope: str) -> Key | None:
    """The key in a cursor; None for an empty one, one of another scope, and one that makes no sense."""
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (binascii.Error, ValueError):
        return None
    return tuple(found[1:]) if isinstance(found, list) and found[:1] == [scope] else None
