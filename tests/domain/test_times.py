"""Days of business: daylight saving, midnight gaps, month starts."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.domain.times import DAY_MS, business_date, day_start, iso, month_start, next_day

ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"]


def ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_iso_has_milliseconds_and_z():
    assert iso(1772058240000) == "2026-02-25T22:24:00.000Z"
    assert iso(1772058240007) == "2026-02-25T22:24:00.007Z"
    assert iso(0) == "1970-01-01T00:00:00.000Z"


@given(st.dates(date(2000, 1, 1), date(2035, 1, 1)), st.sampled_from(ZONES))
def test_a_day_starts_at_its_first_instant(day, name):
    zone = ZoneInfo(name)
    start = day_start(day, zone)
    if name == "Pacific/Apia" and day == date(2011, 12, 30):
        return  # the day that Samoa skipped
    assert business_date(start, zone) == day
    assert business_date(start - 1, zone) < day
    assert 22 * 3_600_000 <= day_start(next_day(day), zone) - start <= 2 * DAY_MS


@pytest.mark.parametrize(
    ("day", "zone", "start"),
    [
        (date(2026, 3, 8), "America/New_York", "2026-03-08T05:00"),
        (date(2026, 3, 9), "America/New_York", "2026-03-09T04:00"),
        (date(2026, 11, 2), "America/New_York", "2026-11-02T05:00"),
        (date(2018, 11, 4), "America/Sao_Paulo", "2018-11-04T03:00"),  # the clocks skipped midnight
        (date(2026, 1, 1), "UTC", "2026-01-01T00:00"),
    ],
)
def test_known_starts(day, zone, start):
    assert day_start(day, ZoneInfo(zone)) == ms(start)


def test_month_start():
    assert month_start(date(2026, 2, 25), ZoneInfo("UTC")) == ms("2026-02-01T00:00")
