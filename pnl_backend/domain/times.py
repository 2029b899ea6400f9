"""Times on the wire and days of business: milliseconds since the epoch in, text or day boundaries out."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LAST_NAMED_DAY = 253_370_764_799_999
"""The end of the year 9998: in every time zone there is a day after it that has a name."""
SHORTEST_INTERVAL_MS = 20
"""No two snapshots are published closer together than this."""


@lru_cache(maxsize=256)
def iso(ms: int) -> str:
    """ISO 8601 UTC with milliseconds and `Z`."""
    seconds, millis = divmod(ms, 1000)
    return f"{_iso_second(seconds)}.{millis:03d}Z"


@lru_cache(maxsize=256)
def _iso_second(seconds: int) -> str:
    """Every REST answer has the time at which it was made."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def utc_date(ms: int) -> date:
    return datetime.fromtimestamp(ms / 1000, UTC).date()


def business_date(ms: int, zone: ZoneInfo) -> date:
    """The business day that the instant falls in."""
    return datetime.fromtimestamp(ms / 1000, zone).date()


def day_start(day: date, zone: ZoneInfo) -> int:
    """The first instant of a business day, in ms.

    Where the clocks skip midnight itself, that is the first instant that exists; where it occurs twice, the earlier.
    """
    midnight = datetime.combine(day, time(), zone)
    ms = int(midnight.timestamp() * 1000)
    if business_date(ms, zone) < day:  # midnight fell into a gap: fold=1 reads it with the offset after the jump
        ms = int(midnight.replace(fold=1).timestamp() * 1000)
        while business_date(ms, zone) < day:
            ms += 60_000
    return ms


def month_start(day: date, zone: ZoneInfo) -> int:
    """The first instant of the business day's month, in ms."""
    return day_start(day.replace(day=1), zone)


def next_day(day: date) -> date:
    return day + timedelta(days=1)
