"""What the Node server answered, field by field and type by type, beside what ours answers.

`tests/data/node/answers.json` holds an answer for each of its six routes and each of its four events, written from the
wire contract. A field of it may not be missing here and must have the same type; further fields may stand beside it.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import listening

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "node" / "answers.json").read_text())
ISO = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
PERCENT = re.compile(r"\d+\.\d{2}%")
OPTIONAL = {"lastFailureTime", "lastSuccessTime", "nextAttemptTime"}
"""Times that are null until there is one."""


def form(value: Any) -> str:
    """The type of a value as a client sees it; text of a fixed form by the form."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value) if value is None else "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        named = {"time": ISO, "day": DAY, "percent": PERCENT}
        return next((name for name, pattern in named.items() if pattern.fullmatch(value)), "text")
    return "list" if isinstance(value, list) else "object"


def differences(recorded: Any, ours: Any, path: str = "") -> list[str]:
    """Every field that is missing in ours or has another type there."""
    if path.rpartition(".")[2] in OPTIONAL and (recorded is None or ours is None):
        return [] if form(ours) in ("null", "number") else [f"{path}: {form(ours)}"]
    if form(recorded) != form(ours):
        return [f"{path}: {form(ours)} instead of {form(recorded)}"]
    if isinstance(recorded, dict):
        missing = [f"{path}.{name} is missing" for name in recorded.keys() - ours.keys()]
        both = [differences(recorded[name], ours[name], f"{path}.{name}") for name in recorded.keys() & ours.keys()]
        return [*missing, *(found for part in both for found in part)]
    if isinstance(recorded, list):
        if not ours:
            return [f"{path} is empty"]
        return [found for i, entry in enumerate(ours) for found in differences(recorded[0], entry, f"{path}[{i}]")]
    return []


@pytest.mark.parametrize(
    ("ours", "found"),
    [
        ({"a": 1.5, "t": "2026-02-25T22:24:00.000Z", "list": [{"n": 1}], "more": True}, []),
        ({"a": "1.5", "t": "2026-02-25T22:24:00.000Z", "list": [{"n": 1}]}, [".a: text instead of number"]),
        ({"a": 1.5, "t": "2026-02-25T22:24:00Z", "list": [{"n": 1}]}, [".t: text instead of time"]),
        ({"t": "2026-02-25T22:24:00.000Z", "list": [{"n": 1}]}, [".a is missing"]),
        ({"a": 1.5, "t": "2026-02-25T22:24:00.000Z", "list": [{"n": 1}, {}]}, [".list[1].n is missing"]),
        ({"a": 1.5, "t": "2026-02-25T22:24:00.000Z", "list": []}, [".list is empty"]),
    ],
)
def test_the_comparison_detects_a_difference(ours, found):
    assert differences({"a": 1, "t": "2026-01-01T00:00:00.000Z", "list": [{"n": 2}]}, ours) == found


@pytest.mark.parametrize("request_line", RECORDED["routes"])
async def test_each_route_answers_as_the_node_server_did(server, request_line):
    path = request_line.removeprefix("GET ")
    await server.until("/api/pnl/history?limit=2", lambda a: a["data"]["count"] == 2)
    assert differences(RECORDED["routes"][request_line], await server.get(path)) == []


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_each_event_is_what_the_node_server_sent(server, transport):
    async with listening(server.url, transports=[transport]) as client:
        for topic in ("pnl", "components", "dashboard"):
            await client.io.emit(f"subscribe_{topic}")
        for event, recorded in RECORDED["events"].items():
            received = (await client.until(lambda c, event=event: c.of(event)))[0]
            assert differences(recorded, received) == [], event
            if "transport" in recorded:
                assert received["transport"] == transport
            if "source" in recorded:
                assert received["source"] == "initial"
                later = await client.next(event)
                assert differences(recorded, later) == []
                assert later["source"] == "stream"
