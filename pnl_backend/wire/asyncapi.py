"""The AsyncAPI 3.0 document: every feed with its messages, built from the models of its messages.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pnl_backend.wire import dashboard_feed, ledger_feed
from pnl_backend.wire import socket_messages as sockets
from pnl_backend.wire.schemas import model_schemas, schema_ref
from pnl_backend.wire.source_schemas import DescribedSource, with_sources

Json = dict[str, Any]

_INTRODUCTION = (
    "The live feeds, all made from the same snapshots. `(epoch, seq)` orders updates and never decreases; each update "
    "is sent to a client once. What cannot be replayed is indicated by `recovered: false` or a new snapshot. Money is "
    "USD with at most two decimals. A client that reads too slowly is disconnected."
)
_HOST: Json = {"default": "localhost:3000", "description": "The address that serves this document."}


@dataclass(frozen=True, slots=True)
class _Message:
    """One kind of message; without a model it has no payload. `sent` by the server, or received from clients."""

    name: str
    model: type[Any] | None
    summary: str
    sent: bool = True
    optional: bool = False
    """Whether the payload may be left out."""
    key: str = ""
    """Its id in the document, where another message has the same name."""
    replies: tuple[_Message, ...] = ()
    """The acknowledgements that a client may ask for."""

    @property
    def id(self) -> str:
        return self.key or self.name


@dataclass(frozen=True, slots=True)
class _Channel:
    id: str
    address: str
    server: str
    title: str
    description: str
    messages: tuple[_Message, ...]
    security: tuple[str, ...]


_REFUSED = _Message(
    "acknowledgement",
    sockets.RefusedAck,
    "The event was refused; an `error` is sent too, unless the event is unknown.",
    key="refused",
)
_SUBSCRIBED = _Message("acknowledgement", sockets.SubscribeAck, "The client is subscribed.", key="subscribed")
_UNSUBSCRIBED = _Message(
    "acknowledgement", sockets.UnsubscribeAck, "The client is no longer subscribed.", key="unsubscribed"
)

_PNL = _Message("pnl_update", sockets.PnLUpdate, "A snapshot: at once, for each one missed, then at every tick.")
_COMPONENTS = _Message("components_update", sockets.ComponentsUpdate, "The breakdown of the same snapshots.")
_DASHBOARD = _Message("pnl-update", dashboard_feed.DashboardMessage, "The dashboard's flat message.")

_CONNECTION = (
    _Message("connect", sockets.ConnectAuth, "The `auth` of a CONNECT.", sent=False, optional=True),
    _Message("connected", sockets.Connected, "The answer to a CONNECT."),
    _Message("connect_error", sockets.ConnectError, "The refusal of a CONNECT."),
    _Message("connect_success", sockets.ConnectSuccess, "First of all events."),
)
_NOTICES = (
    _Message("subscriptions", sockets.Subscriptions, "To clients with offsets, after a change that sends no update."),
    _Message("error", sockets.ErrorMessage, "After an invalid `since` or too many messages.", key="socket_error"),
    _Message("stream_error", sockets.StreamError, "Once, when updates stop."),
)


def _subscription(topic: str) -> tuple[_Message, ...]:
    asked, left = (_SUBSCRIBED, _REFUSED), (_UNSUBSCRIBED, _REFUSED)
    return (
        _Message(f"subscribe_{topic}", sockets.Subscribe, "Subscribe.", sent=False, optional=True, replies=asked),
        _Message(f"unsubscribe_{topic}", None, "Unsubscribe.", sent=False, replies=left),
    )


_LEDGER = (
    _Message("snapshot", ledger_feed.SnapshotMessage, "The whole ledger, which replaces what a client holds."),
    _Message("delta", ledger_feed.DeltaMessage, "What changed; applies to the message before it."),
)
_EVENTS = (
    _Message("snapshot", ledger_feed.SnapshotEvent, "The whole ledger.", key="snapshot_event"),
    _Message("delta", ledger_feed.DeltaEvent, "What changed, and the whole ledger after it.", key="delta_event"),
)
_PLAIN = (
    _Message("auth", sockets.Auth, "The key, where the address has none.", sent=False),
    _Message("ping", sockets.Ping, "Requests a pong.", sent=False),
    _Message("pong", sockets.Pong, "The answer to a ping."),
    _Message("error", sockets.FeedError, "After any other message; three of them close with 1008.", key="feed_error"),
)
_RECOVERY = (
    "A client that reconnects within the recovery window gets its id, its rooms and what it missed: connection state "
    "recovery. An offset is then the last argument of each broadcast: for clients whose auth has `recovery: true`, "
    "and without `recovery` for those whose User-Agent begins with `Mozilla/` or `node-XMLHttpRequest`."
)
_KEY_FIRST = (
    "The key is `?apiKey=`, or the first message within 5 s; else close 4401. A message is 16 KiB at most. The server "
    "sends a protocol ping every 25 s and closes with 1001 a connection that does not answer."
)
_SOCKET_KEYS = ("connectAuth", "query", "header", "bearer")
_PLAIN_KEYS = ("query", "header", "bearer", "firstMessage")


def _namespace(topic: str, update: _Message) -> _Channel:
    return _Channel(
        f"socketio_{topic}",
        f"/{topic}",
        "socketio",
        "Socket.IO, a topic's namespace",
        f"Connecting to it subscribes to `{update.name}` at once.",
        (*_CONNECTION, update, *_subscription(topic), *_NOTICES),
        _SOCKET_KEYS,
    )


_CHANNELS = (
    _Channel(
        "socketio",
        "/",
        "socketio",
        "Socket.IO, default namespace",
        f"Subscriptions by event, each with an acknowledgement if one is requested. {_RECOVERY}",
        (
            *_CONNECTION,
            *(_PNL, *_subscription("pnl")),
            *(_COMPONENTS, *_subscription("components")),
            *(_DASHBOARD, *_subscription("dashboard")),
            *_NOTICES,
        ),
        _SOCKET_KEYS,
    ),
    _namespace("pnl", _PNL),
    _namespace("components", _COMPONENTS),
    _namespace("dashboard", _DASHBOARD),
    _Channel(
        "ledger",
        "/ws",
        "websocket",
        "Ledger feed, plain WebSocket",
        f"At `/` too. A snapshot, then a delta for each change by a cent. {_KEY_FIRST}",
        (*_LEDGER, *_PLAIN),
        _PLAIN_KEYS,
    ),
    _Channel(
        "ledger_events",
        "/api/pnl/stream",
        "http",
        "Ledger feed, server-sent events",
        "The messages of the plain WebSocket as `data:` lines, the ledger's fields beside each; `id:` is "
        "`<epoch>-<seq>`, and `Last-Event-ID` resumes after it. `retry: 3000`, and a comment every 15 s.",
        _EVENTS,
        ("query", "header", "bearer"),
    ),
    _Channel(
        "dashboard",
        "/pnl-stream",
        "websocket",
        "Dashboard feed, plain WebSocket",
        f"The flat message at every tick. {_KEY_FIRST}",
        (_DASHBOARD, *_PLAIN),
        _PLAIN_KEYS,
    ),
)

_SERVERS: Json = {
    "socketio": {
        "host": "{host}",
        "pathname": "/socket.io/",
        "protocol": "socket.io",
        "protocolVersion": "5",
        "description": "Engine.IO 4, over WebSocket and long polling. A channel's address is the namespace, a "
        "message's name the event.",
        "variables": {"host": _HOST},
    },
    "websocket": {"host": "{host}", "protocol": "ws", "protocolVersion": "13", "variables": {"host": _HOST}},
    "http": {"host": "{host}", "protocol": "http", "protocolVersion": "1.1", "variables": {"host": _HOST}},
}

_SCHEMES: Json = {
    "connectAuth": {
        "type": "userPassword",
        "description": "`auth: {apiKey}` of the CONNECT; refused with `connect_error`.",
    },
    "firstMessage": {
        "type": "userPassword",
        "description": 'A first message `{"type": "auth", "apiKey": "..."}`; refused with close 4401.',
    },
    "query": {
        "type": "httpApiKey",
        "in": "query",
        "name": "apiKey",
        "description": "For clients that cannot send headers; redacted in logs.",
    },
    "header": {"type": "httpApiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def asyncapi(*, version: str, sources: Sequence[DescribedSource]) -> Json:
    """The whole document."""
    messages = {message.id: message for channel in _CHANNELS for message in _all_of(channel)}
    models = [message.model for message in messages.values() if message.model is not None]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "P&L streaming server", "version": version, "description": _INTRODUCTION},
        "defaultContentType": "application/json",
        "servers": _SERVERS,
        "channels": {channel.id: _channel(channel) for channel in _CHANNELS},
        "operations": {name: each for channel in _CHANNELS for name, each in _operations(channel)},
        "components": {
            "messages": {key: _described(message) for key, message in messages.items()},
            "schemas": with_sources(model_schemas(models), sources),
            "securitySchemes": _SCHEMES,
        },
    }


def _all_of(channel: _Channel) -> list[_Message]:
    replies = [reply for message in channel.messages for reply in message.replies]
    return list(dict.fromkeys([*channel.messages, *replies]))


def _channel(channel: _Channel) -> Json:
    return {
        "address": channel.address,
        "title": channel.title,
        "description": channel.description,
        "servers": [{"$ref": f"#/servers/{channel.server}"}],
        "messages": {message.id: {"$ref": f"#/components/messages/{message.id}"} for message in _all_of(channel)},
    }


def _described(message: _Message) -> Json:
    described: Json = {"name": message.name, "summary": message.summary}
    if message.model is None:
        return {**described, "payload": {"type": "null"}}
    payload = schema_ref(message.model)
    return {**described, "payload": {"anyOf": [payload, {"type": "null"}]} if message.optional else payload}


def _operations(channel: _Channel) -> list[tuple[str, Json]]:
    """One for everything that the server sends, one for each message that it takes."""
    security = [{"$ref": f"#/components/securitySchemes/{name}"} for name in channel.security]
    sent = [message for message in channel.messages if message.sent]
    operations = [(f"{channel.id}.send", _operation("send", channel, sent, security))]
    for message in channel.messages:
        if not message.sent:
            operation = _operation("receive", channel, [message], security)
            if message.replies:
                replies = [_in_channel(channel, reply) for reply in message.replies]
                operation["reply"] = {"channel": {"$ref": f"#/channels/{channel.id}"}, "messages": replies}
            operations.append((f"{channel.id}.{message.id}", operation))
    return operations


def _operation(action: str, channel: _Channel, messages: list[_Message], security: list[Json]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel.id}"},
        "security": security,
        "messages": [_in_channel(channel, message) for message in messages],
    }


def _in_channel(channel: _Channel, message: _Message) -> Json:
    return {"$ref": f"#/channels/{channel.id}/messages/{message.id}"}
