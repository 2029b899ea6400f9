"""Socket.IO v5 packets, read as strictly as the protocol allows; no I/O.

https://socket.io/docs/v4/socket-io-protocol/ - packets are written as python-socketio's encoder writes them.
"""

import contextlib
import json
from collections.abc import Mapping
from typing import Any, cast

import orjson
import socketio

from pnl_backend.engine.engineio.packets import MESSAGE
from pnl_backend.engine.limits import MAX_ID_DIGITS, MAX_NAMESPACE
from pnl_backend.engine.net.messages import Message, ProtocolError

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)


_compact = json.JSONEncoder(separators=(",", ":")).encode


class EncodedJson(str):
    """JSON text that is sent as it is, where an event or an acknowledgement would take a value to encode."""

    __slots__ = ()


class Packet:
    """One decoded packet; `missing` attachments are still to come."""

    __slots__ = ("attachments", "data", "id", "kind", "missing", "namespace")

    def __init__(self, kind: int, namespace: str, ack_id: int | None, data: Any, missing: int) -> None:
        self.kind = kind
        self.namespace = namespace
        self.id = ack_id
        self.data = data
        self.missing = missing
        self.attachments: list[bytes] = []

    def attach(self, data: bytes) -> bool:
        """Take one attachment; True when the packet is whole."""
        self.attachments.append(data)
        self.missing -= 1
        if self.missing == 0:
            self.data = _fill(self.data, self.attachments)
        return self.missing == 0


def decode(text: str, *, max_attachments: int = 10, max_depth: int = 32) -> Packet:
    """Read the text part of a packet; ProtocolError for whatever the protocol does not allow a client."""
    if not text or not "0" <= text[0] <= "6":
        raise ProtocolError("unknown packet type")
    kind = ord(text[0]) - 48
    position = 1
    count = 0
    if kind >= BINARY_EVENT:
        digits, position = _digits(text, position)
        if not digits or len(digits) > 4 or text[position : position + 1] != "-":
            raise ProtocolError("attachment count is missing")
        count = int(digits)
        position += 1
        if count < 1:
            raise ProtocolError("a binary packet without attachments")
        if count > max_attachments:
            raise ProtocolError("too many attachments")
    namespace = "/"
    if text[position : position + 1] == "/":
        comma = text.find(",", position)
        end = len(text) if comma < 0 else comma
        namespace = text[position:end]
        position = end + 1
        if len(namespace) > MAX_NAMESPACE:
            raise ProtocolError("namespace is too long")
    digits, position = _digits(text, position)
    if len(digits) > MAX_ID_DIGITS:
        raise ProtocolError("ack id is too long")
    data = _json(text[position:], max_depth) if position < len(text) else None
    _check(kind, data, has_data=position < len(text), has_id=bool(digits))
    if count:
        _check_placeholders(data, count)
    return Packet(kind, namespace, int(digits) if digits else None, data, count)


def _digits(text: str, start: int) -> tuple[str, int]:
    end = start
    length = len(text)
    while end < length and "0" <= text[end] <= "9":
        end += 1
    return text[start:end], end


def _json(text: str, max_depth: int) -> Any:
    # Counting brackets bounds the depth from above; only when the bound is passed is it worth a walk.
    if text.count("[") + text.count("{") > max_depth and _depth(text) > max_depth:
        raise ProtocolError("JSON is nested too deep")
    try:
        return orjson.loads(text)
    except ValueError as error:
        if "\\u" in text:
            # A lone surrogate may be written as an escape, which orjson refuses; all else is read as orjson reads it.
            with contextlib.suppress(ValueError):
                return json.loads(text, parse_int=orjson.loads, parse_float=orjson.loads, parse_constant=orjson.loads)
        raise ProtocolError("payload is not JSON") from error


def _depth(text: str) -> int:
    """How deep brackets nest outside of strings."""
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _check(kind: int, data: Any, *, has_data: bool, has_id: bool) -> None:
    """The payload that each packet type may carry."""
    if kind in (EVENT, BINARY_EVENT):
        if not isinstance(data, list) or not data or not _is_name(data[0]):
            raise ProtocolError("event payload is not an array with a name")
    elif kind in (ACK, BINARY_ACK):
        if not isinstance(data, list) or not has_id:
            raise ProtocolError("acknowledgement without an id or an array")
    elif kind == CONNECT:
        if (has_data and not isinstance(data, dict)) or has_id:
            raise ProtocolError("CONNECT payload is not an object")
    elif kind == DISCONNECT:
        if has_data or has_id:
            raise ProtocolError("DISCONNECT carries nothing")
    else:
        raise ProtocolError("CONNECT_ERROR is the server's to send")


def _is_name(value: Any) -> bool:
    return type(value) in {int, float} or (isinstance(value, str) and value not in RESERVED_EVENTS)


def event_name(value: str | float) -> str:
    """The text under which an event's handlers are registered: 1 and 1.0 are `"1"`, as in JavaScript."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def _placeholder(value: Any) -> bool:
    return isinstance(value, dict) and value.get("_placeholder") is True


def _check_placeholders(data: Any, count: int) -> None:
    if _placeholder(data):
        index = data.get("num")
        if type(index) is not int or not 0 <= index < count:
            raise ProtocolError("placeholder without its attachment")
    elif isinstance(data, list):
        for item in data:
            _check_placeholders(item, count)
    elif isinstance(data, dict):
        for item in data.values():
            _check_placeholders(item, count)


def _fill(data: Any, attachments: list[bytes]) -> Any:
    if _placeholder(data):
        return attachments[data["num"]]
    if isinstance(data, list):
        return [_fill(item, attachments) for item in data]
    if isinstance(data, dict):
        return {key: _fill(item, attachments) for key, item in data.items()}
    return data


def encode_packet(
    kind: int, namespace: str, data: Any = None, *, ack_id: int | None = None, key: str | None = None
) -> Message:
    """A packet as python-socketio's encoder writes it; that one writes those with attachments."""
    if isinstance(data, list) and any(isinstance(value, EncodedJson) for value in data):
        return Message((MESSAGE + _joined(kind, namespace, data, ack_id),), key=key)
    try:
        text = "" if data is None else _compact(data)
    except TypeError:  # bytes among them, which go as attachments
        packet = cast(Any, socketio.packet.Packet)(packet_type=kind, data=data, namespace=namespace, id=ack_id)
        first, *attachments = packet.encode()
        return Message((MESSAGE + first, *attachments), key=key)
    return Message((MESSAGE + _head(kind, namespace, ack_id) + text,), key=key)


def connect_packet(namespace: str, sid: str, payload: Mapping[str, Any]) -> Message:
    """The answer to a CONNECT; encoding the mapping is left out where `sid` is all of it."""
    if payload:
        return encode_packet(CONNECT, namespace, {"sid": sid, **payload})
    return Message((f'{MESSAGE}{_head(CONNECT, namespace, None)}{{"sid":{_compact(sid)}}}',))


def _head(kind: int, namespace: str, ack_id: int | None) -> str:
    """What stands before a packet's data."""
    return f"{kind}{'' if namespace == '/' else f'{namespace},'}{'' if ack_id is None else ack_id}"


def _joined(kind: int, namespace: str, values: list[Any], ack_id: int | None) -> str:
    """A packet of several values, those that are JSON already as they are."""
    texts = [value if isinstance(value, EncodedJson) else _compact(value) for value in values]
    return f"{_head(kind, namespace, ack_id)}[{','.join(texts)}]"


def with_argument(message: Message, argument: str) -> Message:
    """The same event with one more argument at its end, as the encoder would have written it."""
    text, *attachments = message.packets
    return Message((f"{str(text)[:-1]},{_compact(argument)}]", *attachments), key=message.key)
