"""Pages of other origins: REST, long polling and the event stream decide alike."""

from __future__ import annotations

import aiohttp
import pytest

from pnl_backend.app import running
from pnl_backend.settings.text import load

LISTED, OTHER = "https://dash.example", "https://other.example"
PATHS = ("/api/pnl/current", "/socket.io/?EIO=4&transport=polling", "/api/pnl/stream")


async def decision(session: aiohttp.ClientSession, path: str, origin: str) -> tuple[bool, bool]:
    """Whether a browser lets a page of this origin read the answer, and whether with credentials."""
    async with session.get(path, headers={"Origin": origin}) as answer:
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        credentials = answer.headers.get("Access-Control-Allow-Credentials") == "true"
        return allowed in (origin, "*"), credentials and allowed == origin


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (LISTED, {LISTED: (True, True), OTHER: (False, False), "null": (False, False)}),
        ("*", {LISTED: (True, False), OTHER: (True, False), "null": (False, False)}),
        (f"*,{LISTED}", {LISTED: (True, False), OTHER: (True, False), "null": (False, False)}),
        (f"{LISTED},{OTHER}", {LISTED: (True, True), OTHER: (True, True), "null": (False, False)}),
    ],
)
async def test_rest_polling_and_the_event_stream_decide_alike(tmp_path, monkeypatch, setting, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CORS_ORIGIN", setting)
    async with (
        running(load(port=0, demo=True, update_interval_ms=200)) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        for path in PATHS:
            found = {origin: await decision(session, path, origin) for origin in expected}
            assert found == expected, path
