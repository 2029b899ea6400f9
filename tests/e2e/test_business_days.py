"""A server whose business days are not those of UTC: it names its zone, and its daily rows carry their dates."""

import csv
import io
from datetime import datetime
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from tests.support.server import FAST, ServerProcess


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
async def test_daily_rows_and_exports_carry_the_business_day(tmp_path, zone):
    server = ServerProcess(tmp_path, **FAST, DEMO="true", BUSINESS_TIMEZONE=zone)
    await server.start()
    try:
        brief = await server.until("/api/health", lambda a: "businessTimezone" in a)
        assert (brief["businessTimezone"], brief["updateIntervalMs"]) == (zone, 100)
        before = datetime.now(ZoneInfo(zone))
        daily = f"resolution=1d&from={int(before.timestamp() - 86_400) * 1000}"
        answer = await server.until(f"/api/pnl/history?{daily}", lambda a: a["data"]["count"] > 0)
        dates = {day.date().isoformat() for day in (before, datetime.now(ZoneInfo(zone)))}
        row = answer["data"]["data"][-1]
        begins = datetime.fromtimestamp(row["timestamp"] / 1000, ZoneInfo(zone))
        assert (begins.hour, begins.minute, begins.second) == (0, 0, 0)
        assert row["date"] == begins.date().isoformat()
        assert row["date"] in dates
        async with aiohttp.ClientSession(server.url) as http:
            async with http.get(f"/api/pnl/export?{daily}") as answer:
                lines = list(csv.DictReader(io.StringIO(await answer.text())))
            async with http.get(f"/api/pnl/export?{daily}&format=json") as answer:
                rows = await answer.json()
            async with http.get("/api/pnl/history?resolution=1h") as answer:
                hours = (await answer.json())["data"]["data"]
        assert list(lines[0])[-6:] == ["count", "date", "degraded", "estimated", "complete", "restated"]
        assert lines[-1]["date"] == rows[-1]["date"] == row["date"]
        assert all("date" not in hour for hour in hours)
    finally:
        await server.close()
