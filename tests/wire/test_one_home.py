"""JSON for clients is made in `wire` only, from its models; other encoders are listed with the reason."""

import ast

import pytest

from tests.dependencies import scan

ENCODERS = {
    "orjson.dumps", "json.dumps", "json.dump", "json.JSONEncoder", "web.json_response", "aiohttp.web.json_response",
    "msgspec.json.encode", "msgspec.json.Encoder", "msgspec.to_builtins",
}  # fmt: skip
SPEAKING = {"wire", "simulator", "simulated"}
"""Folders and modules that make JSON by trade: for clients, or as an upstream that is simulated."""

ELSEWHERE = {
    "engine/engineio/packets.py": "the handshake of Engine.IO",
    "engine/socketio/packets.py": "offsets and values of other applications: the engine knows no message of ours",
    "engine/feeds/event_stream.py": "the engine's own refusals",
    "ops/logging.py": "log lines",
    "ops/redaction.py": "how a secret looks inside JSON",
    "sources/body.py": "how bytes that are not UTF-8 look in an error",
    "sources/codec.py": "what the cache keeps of a reading",
    "sources/testing/__init__.py": "answers of an upstream in the tests of a source",
    "sources/testing/stub.py": "answers of an upstream in the tests of a source",
}


def encoders(tree):
    """The encoders that a module calls or hands on."""
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, _, rest = ast.unparse(node).partition(".")
            name = imported.get(first, first) + (f".{rest}" if rest else "")
            if name in ENCODERS:
                yield name


def test_nothing_but_the_wire_encodes_json_for_clients():
    found = {
        str(path.relative_to(scan.PACKAGE))
        for path, tree in scan.sources()
        if not SPEAKING & {*path.relative_to(scan.PACKAGE).with_suffix("").parts} and any(encoders(tree))
    }
    assert found - ELSEWHERE.keys() == set(), "give it a model in pnl_backend/wire, and encode that"
    assert ELSEWHERE.keys() - found == set(), "they encode nothing any more"


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import orjson\norjson.dumps(1)", ["orjson.dumps"]),
        ("from orjson import dumps\ndumps(1)", ["orjson.dumps"]),
        ("import json\njson.loads('1')", []),
        ("from json import dumps as text\nprint(text)", ["json.dumps"]),
        ("from aiohttp import web\nweb.json_response({})", ["aiohttp.web.json_response"]),
        ("from msgspec import json\njson.encode(1)", ["msgspec.json.encode"]),
        ("from msgspec.json import Encoder\nEncoder()", ["msgspec.json.Encoder"]),
    ],
)
def test_every_way_to_an_encoder_is_seen(source, seen):
    assert list(encoders(ast.parse(source))) == seen
