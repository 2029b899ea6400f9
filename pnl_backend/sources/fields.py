"""Typed readers for the fields of an upstream's JSON: the right value, or an InvalidResponse that names the field.

`path` is the place of the object: `Kalshi /portfolio/positions: ` for an answer's root (with the colon),
`Kalshi /portfolio/positions: market_positions[3]` for a row of it. A field that is null counts as missing.
No reader guesses: a wrong type, NaN, an infinity or an absurd size is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any, NoReturn

from pnl_backend.domain.money import HUNDRED
from pnl_backend.errors import InvalidResponse

Object = Mapping[str, Any]

ABSURD = Decimal(10) ** 12
FINEST = Decimal(1).scaleb(-12)
_DECIMAL = re.compile(r"[+-]?\d{1,30}(\.\d{1,40})?([eE][+-]?\d{1,2})?", re.ASCII)
_COMMON = re.compile(r"-?\d{1,11}(\.\d{1,12})?", re.ASCII)
_LONGEST_TEXT = 500


def refuse(path: str, field: str, why: str, value: object = None) -> NoReturn:
    """Raise InvalidResponse: `<path>.<field> <why>`, with the value where one is worth showing."""
    shown = "" if value is None else f": {_short(value)}"
    raise InvalidResponse(f"{inside(path, field)} {why}{shown}")


def inside(path: str, field: str) -> str:
    """The path of a field of the object at `path`."""
    return f"{path}{field}" if path.endswith(": ") else f"{path}.{field}"


def an_object(value: object, path: str) -> Object:
    """`value` as a JSON object."""
    if not isinstance(value, dict):
        raise InvalidResponse(f"{path.removesuffix(': ')} is not a JSON object but {_kind(value)}")
    return value


def member(parent: Object, field: str, path: str) -> Object:
    """An object inside another."""
    return an_object(_present(parent, field, path), inside(path, field))


def objects(parent: Object, field: str, path: str) -> list[Object]:
    """A list of JSON objects."""
    value = _present(parent, field, path)
    if not isinstance(value, list):
        refuse(path, field, f"is not a list but {_kind(value)}")
    where = inside(path, field)
    return [an_object(item, f"{where}[{index}]") for index, item in enumerate(value)]


def text(parent: Object, field: str, path: str) -> str:
    """A non-empty string."""
    value = optional_text(parent, field, path)
    if not value:
        refuse(path, field, "is missing" if value is None else "is empty")
    return value


def optional_text(parent: Object, field: str, path: str) -> str | None:
    """A string, or None where it is missing."""
    value = parent.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        refuse(path, field, f"is not a string but {_kind(value)}", value)
    if len(value) > _LONGEST_TEXT:
        refuse(path, field, f"is longer than {_LONGEST_TEXT} characters")
    return value


def whole(parent: Object, field: str, path: str, *, least: int | None = None) -> int:
    """An integer; JSON's 1.0 and true are not integers."""
    value = _present(parent, field, path)
    if not isinstance(value, int) or isinstance(value, bool):
        refuse(path, field, f"is not an integer but {_kind(value)}", value)
    if abs(value) > ABSURD * HUNDRED:
        refuse(path, field, "is absurdly large", value)
    if least is not None and value < least:
        refuse(path, field, f"is below {least}", value)
    return value


def decimal(parent: Object, field: str, path: str) -> Decimal:
    """A decimal written as a string, as the contracts with Kalshi and Anthropic have it."""
    value = parent.get(field)
    if isinstance(value, str):
        amount = _common(value)
        return _checked(_parsed(value, path, field), path, field) if amount is None else amount
    if value is None:
        refuse(path, field, "is missing")
    refuse(path, field, f"is not a decimal string but {_kind(value)}", value)


def money(parent: Object, field: str, path: str) -> Decimal:
    """A JSON number or a decimal string."""
    value = _present(parent, field, path)
    if isinstance(value, str):
        return _checked(_parsed(value, path, field), path, field)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        refuse(path, field, f"is not a number but {_kind(value)}", value)
    return _checked(Decimal(value), path, field)


def dollars(parent: Object, name: str, path: str) -> Decimal:
    """`<name>_dollars` (a decimal string), or where it is missing the older field `<name>` (integer cents)."""
    value = optional_dollars(parent, name, path)
    if value is None:
        refuse(path, f"{name}_dollars", "is missing")
    return value


def optional_dollars(parent: Object, name: str, path: str) -> Decimal | None:
    """As `dollars`, None where both generations of the field are missing."""
    if parent.get(f"{name}_dollars") is not None:
        return decimal(parent, f"{name}_dollars", path)
    if parent.get(name) is not None:
        return whole(parent, name, path) / HUNDRED
    return None


def contracts(parent: Object, name: str, path: str) -> Decimal:
    """A count of contracts: `<name>_fp` (a decimal string), or the older field `<name>` (an integer)."""
    if parent.get(f"{name}_fp") is None and parent.get(name) is not None:
        return Decimal(whole(parent, name, path))
    return decimal(parent, f"{name}_fp", path)


def moment(parent: Object, field: str, path: str) -> int:
    """ISO 8601 with an offset, as ms since the epoch."""
    value = text(parent, field, path)
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        refuse(path, field, "is not an ISO 8601 time", value)
    if parsed.tzinfo is None:
        refuse(path, field, "has no UTC offset", value)
    return milliseconds(parsed)


def milliseconds(at: datetime) -> int:
    """An aware datetime as whole ms since the epoch, exactly."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _present(parent: Object, field: str, path: str) -> Any:
    value = parent.get(field)
    if value is None:
        refuse(path, field, "is missing")
    return value


@lru_cache(maxsize=16_384)
def _common(value: str) -> Decimal | None:
    """Nearly every amount is of this form, which needs no further check; most are the same at the next poll."""
    return Decimal(value) if _COMMON.fullmatch(value) else None


def _parsed(value: str, path: str, field: str) -> Decimal:
    if not _DECIMAL.fullmatch(value):
        refuse(path, field, "is not a decimal", value)
    return Decimal(value)


def _checked(value: Decimal, path: str, field: str) -> Decimal:
    """Finite and below 1e12; digits finer than 1e-12 are binary noise and are rounded away, so that sums stay exact."""
    if not value.is_finite() or abs(value) > ABSURD:
        refuse(path, field, "is absurdly large", value)
    if int(value.as_tuple().exponent) < -12:
        return value.quantize(FINEST, rounding=ROUND_HALF_EVEN)
    return value


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    names = {str: "a string", int: "an integer", Decimal: "a fraction", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _short(value: object) -> str:
    shown = repr(value) if isinstance(value, str) else str(value)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"
