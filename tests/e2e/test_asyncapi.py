"""The description of the feeds: it is AsyncAPI 3.0, and the feeds send and take what it describes."""

import copy
import json
from html import escape

import aiohttp
import jsonschema_rs
import pytest
import socketio

from pnl_backend import __version__
from pnl_backend.assembly.guards import describe
from pnl_backend.sources import registry
from pnl_backend.wire.asyncapi import asyncapi
from tests.stream.stage import staged
from tests.support.clients import Listener, listening
from tests.support.feeds import event_stream, plain_socket
from tests.support.server import FAST, ServerProcess, upstream_env

SOURCES = [describe(declared) for declared in registry.types() if declared.always_shown]
DOCUMENT = asyncapi(version=__version__, sources=SOURCES)

REF = {
    "type": "object",
    "required": ["$ref"],
    "additionalProperties": False,
    "properties": {"$ref": {"type": "string", "pattern": "^#/"}},
}
REFS = {"type": "array", "items": REF, "uniqueItems": True}
TEXT = {"type": "string", "minLength": 1}
VARIABLE = {"type": "object", "additionalProperties": False, "properties": {"default": TEXT, "description": TEXT}}
PLACES = ("user", "password", "query", "header", "cookie")


def closed(required, **properties):
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": properties,
    }


def map_of(schema):
    names = {r"^[\w.-]+$": schema}
    return {"type": "object", "minProperties": 1, "patternProperties": names, "additionalProperties": False}


SERVER = closed(
    ("host", "protocol"),
    host=TEXT, pathname=TEXT, protocol=TEXT, protocolVersion=TEXT, description=TEXT, variables=map_of(VARIABLE),
)  # fmt: skip
CHANNEL = closed(
    ("address", "messages"),
    address=TEXT, title=TEXT, description=TEXT, servers={**REFS, "minItems": 1}, messages=map_of(REF),
)  # fmt: skip
OPERATION = closed(
    ("action", "channel", "messages"),
    action={"enum": ["send", "receive"]},
    channel=REF,
    security=REFS,
    messages={**REFS, "minItems": 1},
    reply=closed(("channel", "messages"), channel=REF, messages=REFS),
)
MESSAGE = closed(("name", "summary", "payload"), name=TEXT, summary=TEXT, payload={"type": "object"})
SCHEME = {
    "oneOf": [
        closed(("type",), type={"const": "userPassword"}, description=TEXT),
        closed(
            ("type", "in", "name"),
            **{"type": {"const": "httpApiKey"}, "in": {"enum": PLACES[2:]}, "name": TEXT, "description": TEXT},
        ),
        closed(("type", "scheme"), type={"const": "http"}, scheme=TEXT),
    ]
}
SHAPE = closed(
    ("asyncapi", "info", "channels", "operations", "components"),
    asyncapi={"const": "3.0.0"},
    info=closed(("title", "version"), title=TEXT, version=TEXT, description=TEXT),
    defaultContentType={"const": "application/json"},
    servers=map_of(SERVER),
    channels=map_of(CHANNEL),
    operations=map_of(OPERATION),
    components=closed((), messages=map_of(MESSAGE), schemas=map_of({"type": "object"}), securitySchemes=map_of(SCHEME)),
)
"""What AsyncAPI 3.0 asks of the objects that the document uses: https://www.asyncapi.com/docs/reference/specification"""


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(reference):
    node = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def strictly(schema):
    """The schema without room for fields that it does not name."""
    if isinstance(schema, dict):
        kept = {key: strictly(value) for key, value in schema.items()}
        return {**kept, "additionalProperties": False} if schema.get("additionalProperties") is True else kept
    return [strictly(item) for item in schema] if isinstance(schema, list) else schema


COMPONENTS = strictly(DOCUMENT["components"])


def fits(key, payload):
    """Fails where the payload is not what the message's schema says, or carries a field that it does not name."""
    schema = {**COMPONENTS["messages"][key]["payload"], "components": COMPONENTS}
    jsonschema_rs.Draft7Validator(schema).validate(payload)


def keys_of(channel, action):
    """The messages that an operation of the channel sends or takes."""
    return [
        reference["$ref"].rsplit("/", 1)[1]
        for operation in DOCUMENT["operations"].values()
        if operation["action"] == action and operation["channel"]["$ref"] == f"#/channels/{channel}"
        for reference in operation["messages"]
    ]


def test_the_document_has_the_shape_of_asyncapi_3():
    jsonschema_rs.Draft7Validator(SHAPE).validate(DOCUMENT)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({**schema, "$schema": "http://json-schema.org/draft-07/schema#"})


def test_every_reference_leads_somewhere_and_every_part_is_used():
    found = set(references(DOCUMENT))
    for reference in found:
        assert resolve(reference)
    for kind in ("messages", "schemas", "securitySchemes"):
        for name in DOCUMENT["components"][kind]:
            assert f"#/components/{kind}/{name}" in found
    for name, operation in DOCUMENT["operations"].items():
        channel = operation["channel"]["$ref"]
        assert name.startswith(channel.rsplit("/", 1)[1] + ".")
        for message in (*operation["messages"], *operation.get("reply", {}).get("messages", ())):
            assert message["$ref"].startswith(f"{channel}/messages/")


def test_every_message_of_a_channel_has_one_direction():
    for name, channel in DOCUMENT["channels"].items():
        sent, taken = keys_of(name, "send"), keys_of(name, "receive")
        replies = {
            reference["$ref"].rsplit("/", 1)[1]
            for operation in DOCUMENT["operations"].values()
            if operation["channel"]["$ref"] == f"#/channels/{name}"
            for reference in operation.get("reply", {}).get("messages", ())
        }
        assert sorted([*sent, *taken, *replies]) == sorted(channel["messages"])


async def test_the_server_serves_it_and_shows_it(server):
    assert await server.get("/asyncapi.json") == DOCUMENT
    openapi = await server.get("/openapi.json")
    for name, schema in openapi["components"]["schemas"].items():
        assert DOCUMENT["components"]["schemas"].get(name, schema) == schema, f"{name} is described in two ways"
    async with aiohttp.ClientSession() as session, session.get(server.url + "/docs") as answer:
        page = await answer.text()
    for channel in DOCUMENT["channels"].values():
        assert escape(channel["title"]) in page
    for message in DOCUMENT["components"]["messages"].values():
        assert f"<code>{message['name']}</code>" in page
    for name in DOCUMENT["components"]["schemas"]:
        assert f'id="{name}"' in page
        assert f'href="#{name}"' in page


def hold_events(channel, client, expected):
    """Every event that the client got is one that the channel sends, and fits; each expected one has come."""
    described = {DOCUMENT["components"]["messages"][key]["name"]: key for key in keys_of(channel, "send")}
    for event, payload in client.seen:
        fits(described[event], payload)
    assert {event for event, _ in client.seen} >= expected


async def test_the_default_namespace_sends_what_is_described(server):
    async with listening(server.url) as client:
        acknowledged = await client.io.call("subscribe_pnl")
        fits("subscribed", acknowledged)
        since = {"since": {"epoch": acknowledged["epoch"], "seq": acknowledged["seq"] - 1}}
        fits("subscribe_pnl", since)
        fits("subscribed", await client.io.call("subscribe_pnl", since))
        fits("subscribed", await client.io.call("subscribe_components"))
        fits("subscribed", await client.io.call("subscribe_dashboard"))
        await client.until(lambda c: {u["source"] for u in c.of("pnl_update")} == {"initial", "replay", "stream"})
        await client.until(lambda c: len(c.of("components_update")) >= 2 and len(c.of("pnl-update")) >= 2)
        fits("unsubscribed", await client.io.call("unsubscribe_pnl"))
        fits("refused", await client.io.call("subscribe_everything"))
        fits("refused", await client.io.call("subscribe_pnl", {"since": "yesterday"}))
        hold_events("socketio", client, {"connect_success", "pnl_update", "components_update", "pnl-update", "error"})


@pytest.mark.parametrize(
    ("topic", "event"), [("pnl", "pnl_update"), ("components", "components_update"), ("dashboard", "pnl-update")]
)
async def test_a_namespace_sends_what_is_described(server, topic, event):
    client = Listener()
    client.io.on("*", client._note, namespace=f"/{topic}")
    await client.io.connect(server.url, namespaces=[f"/{topic}"])
    try:
        await client.until(lambda c: len(c.of(event)) >= 2)
        hold_events(f"socketio_{topic}", client, {"connect_success", event})
    finally:
        await client.io.disconnect()


async def test_a_client_that_takes_offsets_gets_what_is_described(server):
    async with plain_socket(server.url, "/socket.io/?EIO=4&transport=websocket") as raw:
        auth = {"recovery": True}
        fits("connect", auth)
        await raw.raw.recv()
        await raw.send("40" + json.dumps(auth))
        connected = json.loads((await raw.raw.recv()).removeprefix("40"))
        fits("connected", connected)
        assert "pid" in connected
        await raw.send('42["subscribe_pnl"]')
        await raw.send('42["unsubscribe_pnl"]')
        seen = {}
        while "subscriptions" not in seen:
            event, payload, offset = json.loads((await raw.raw.recv()).removeprefix("42"))
            assert offset.startswith(payload.get("data", {}).get("epoch", ""))
            seen[event] = payload
        assert seen.keys() == {"connect_success", "pnl_update", "subscriptions"}
        for event, payload in seen.items():
            fits(event, payload)
        fits("connect", {"pid": connected["pid"], "offset": offset})


@pytest.mark.parametrize(("path", "channel"), [("/ws", "ledger"), ("/pnl-stream", "dashboard")])
async def test_a_plain_feed_sends_what_is_described(server, simulator, path, channel):
    keys = keys_of(channel, "send")
    seen = {}
    async with plain_socket(server.url, path) as client:
        for key, sent in (("ping", {"type": "ping"}), ("auth", {"type": "auth", "apiKey": "any"})):
            fits(key, sent)
            await client.send(sent)
        await client.send("nonsense")
        while len(seen) < len(keys):
            if "delta" not in seen:
                simulator.step(5)
            message = await client.read()
            kind = message.get("type", "pnl-update")
            seen["feed_error" if kind == "error" else kind] = message
    assert seen.keys() == set(keys)
    for key, message in seen.items():
        fits(key, message)


async def test_the_event_stream_sends_what_is_described(server, simulator):
    async with event_stream(server.url) as reader:
        for key in keys_of("ledger_events", "send"):
            message = (await reader.read()).data
            assert f"{message['type']}_event" == key
            fits(key, message)
            simulator.step(10)


async def test_a_stop_of_updates_is_sent_as_described(tmp_path):
    async with staged(tmp_path / "pnl.db") as stage, listening(stage.url) as client:
        await stage.hub.stream_error()
        (message,) = await client.until(lambda c: c.of("stream_error"))
        fits("stream_error", message)


async def test_what_is_not_described_does_not_fit(server):
    update = {"data": (await server.get("/api/pnl/current"))["data"], "source": "stream"}
    update["timestamp"] = update["data"]["timestamp"]
    fits("pnl_update", update)
    for spoil in (
        lambda u: u.pop("source"),
        lambda u: u["data"].pop("netPnL"),
        lambda u: u["data"].update(seq="1"),
        lambda u: u["data"]["components"]["johns"].update(collected=None),
        lambda u: u.update(more=1),
        lambda u: u.update(timestamp="today"),
    ):
        spoilt = copy.deepcopy(update)
        spoil(spoilt)
        with pytest.raises(jsonschema_rs.ValidationError):
            fits("pnl_update", spoilt)


async def test_a_refusal_is_as_described(tmp_path, simulator):
    env = upstream_env(simulator, simulator.credentials())
    server = await ServerProcess(tmp_path, **FAST, **env, API_KEY="read-key-of-this-test").start()
    client, told = Listener(), []
    client.io.on("connect_error", told.append)
    try:
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.io.connect(server.url, auth={"apiKey": "wrong"})
    finally:
        await server.close()
    fits("connect_error", told[0])
