"""Numbers and dates that several simulated upstreams need."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

ZERO = Decimal(0)
CENT = Decimal("0.01")
HOUR = 3600
"""Seconds."""
DAY = 86_400
"""Seconds."""

_DATE = re.compile(r"\{([+-]\d+)\}")


def dated(text: str, now: float, form: str) -> str:
    """The text with each `{+3}` replaced by the date three days from `now` (UTC seconds), as `form` writes it."""

    def date(match: re.Match[str]) -> str:
        return (datetime.fromtimestamp(now, UTC) + timedelta(days=int(match[1]))).strftime(form)

    return _DATE.sub(date, text)
