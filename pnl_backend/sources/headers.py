"""What an upstream says in its headers about time."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(header: str | None) -> float | None:
    """Seconds from now: RFC 9110's delay or HTTP date; None for anything else."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        at = http_date(header)
        seconds = (at - datetime.now(UTC)).total_seconds() if at else math.nan
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def http_date(header: str | None) -> datetime | None:
    """The time in an HTTP date, UTC where it names no zone; None for anything else."""
    try:
        at = parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at and at.tzinfo is None else at
