"""Published JSON values and back: what was written with two decimals is read as exactly that."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

Json = dict[str, Any]


def decimal_of(value: float) -> Decimal:
    """A published number back to exact cents: its shortest decimal form is what was written."""
    return Decimal(repr(value))


def ms_of(text: str) -> int:
    """ISO 8601 as ms since the epoch."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
