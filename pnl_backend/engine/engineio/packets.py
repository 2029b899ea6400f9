"""Engine.IO v4 packets and payloads; no I/O.

https://socket.io/docs/v4/engine-io-protocol/
"""

import binascii

import orjson

from pnl_backend.engine.config import EngineConfig
from pnl_backend.engine.net.frames import TEXT, frame
from pnl_backend.engine.net.messages import SEPARATOR, Message, ProtocolError

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
PACKET_TYPES = frozenset("0123456")


PING_MESSAGE = Message((PING,))
NOOP_MESSAGE = Message((NOOP,))
CLOSE_MESSAGE = Message((CLOSE,))
PROBE_ANSWER = Message((PONG + "probe",))


def message(data: str | bytes) -> Message:
    """An Engine.IO message packet around an application's data."""
    return Message((data if isinstance(data, bytes) else MESSAGE + data,))


class OpenPackets:
    """Handshakes, with times in ms; all but the session's id is encoded once."""

    def __init__(self, config: EngineConfig) -> None:
        self._polling = self._encode(config, ["websocket"])
        self._websocket = self._encode(config, [])

    @staticmethod
    def _encode(config: EngineConfig, upgrades: list[str]) -> str:
        """What follows the session's id."""
        fields = {
            "upgrades": upgrades,
            "pingInterval": round(config.ping_interval * 1000),
            "pingTimeout": round(config.ping_timeout * 1000),
            "maxPayload": config.max_http_buffer_size,
        }
        return "," + orjson.dumps(fields).decode()[1:]

    def packet(self, sid: str) -> str:
        """For one that polls; its id is of characters that JSON does not escape."""
        return f'{OPEN}{{"sid":"{sid}"{self._polling}'

    def frame(self, sid: str) -> bytes:
        """For one over a WebSocket."""
        return frame(TEXT, f'{OPEN}{{"sid":"{sid}"{self._websocket}'.encode())


def decode_packet(data: str | bytes) -> tuple[str, str | bytes]:
    """The type and content of one packet; binary data is always a message."""
    if isinstance(data, bytes):
        return MESSAGE, data
    kind = data[:1]
    if kind in PACKET_TYPES and kind:
        return kind, data[1:]
    if kind == "b":
        try:
            return MESSAGE, binascii.a2b_base64(data[1:].encode("ascii"), strict_mode=True)
        except ValueError as error:
            raise ProtocolError("invalid base64") from error
    raise ProtocolError("unknown packet type")


def decode_payload(body: bytes) -> list[tuple[str, str | bytes]]:
    """The packets of a long-polling request body, all or none."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("payload is not UTF-8") from error
    return [decode_packet(part) for part in text.split(SEPARATOR)]
