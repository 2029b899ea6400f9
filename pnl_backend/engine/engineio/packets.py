"""Engine.IO v4 packets and payloads, and messages that are framed once for every transport; no I/O.

https://socket.io/docs/v4/engine-io-protocol/
"""

import binascii
from base64 import b64encode
from collections.abc import Sequence

from pnl_backend.engine.net.frames import BINARY, TEXT, frame

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
SEPARATOR = "\x1e"
MAX_PAYLOAD_PACKETS = 16
"""Packets in one answer to a poll: python-engineio's client refuses more."""
PACKET_TYPES = frozenset("0123456")


class EncodedJson(str):
    """JSON text that is sent as it is, where an event or an acknowledgement would take a value to encode."""

    __slots__ = ()


class ProtocolError(Exception):
    """The peer broke a protocol; its connection is closed."""


class Message:
    """What one or many clients are sent: whole WebSocket messages, framed at most once for each kind of transport.

    Messages under one `key` are whole: in a client that lags, the newest replaces what waits.
    """

    __slots__ = ("_event", "_frame", "_payload", "event_id", "key", "packets")

    def __init__(self, packets: Sequence[str | bytes], *, key: str | None = None, event_id: str | None = None) -> None:
        self.packets = packets
        self.key = key
        self.event_id = event_id
        self._frame: bytes | None = None
        self._payload: str | None = None
        self._event: bytes | None = None

    @classmethod
    def text(cls, text: str, *, replace_key: str | None = None, event_id: str | None = None) -> "Message":
        """One text for plain WebSocket and SSE clients."""
        return cls((text,), key=replace_key, event_id=event_id)

    @property
    def frame(self) -> bytes:
        """As WebSocket frames, one behind the other."""
        if self._frame is None:
            self._frame = b"".join(
                frame(TEXT, packet.encode()) if isinstance(packet, str) else frame(BINARY, packet)
                for packet in self.packets
            )
        return self._frame

    @property
    def payload(self) -> str:
        """As a part of a long-polling payload."""
        if self._payload is None:
            self._payload = SEPARATOR.join(
                packet if isinstance(packet, str) else "b" + b64encode(packet).decode() for packet in self.packets
            )
        return self._payload

    @property
    def event(self) -> bytes:
        """As a server-sent event."""
        if self._event is None:
            lines = [] if self.event_id is None else [f"id: {self.event_id}"]
            lines += [f"data: {line}" for packet in self.packets for line in str(packet).split("\n")]
            self._event = ("\n".join(lines) + "\n\n").encode()
        return self._event


class RawFrames(Message):
    """Frames that are no Engine.IO packets: pongs and closes."""

    __slots__ = ()

    def __init__(self, data: bytes) -> None:
        super().__init__(())
        self._frame = self._event = data


PING_MESSAGE = Message((PING,))
NOOP_MESSAGE = Message((NOOP,))
CLOSE_MESSAGE = Message((CLOSE,))
PROBE_ANSWER = Message((PONG + "probe",))


def message(data: str | bytes) -> Message:
    """An Engine.IO message packet around an application's data."""
    return Message((data if isinstance(data, bytes) else MESSAGE + data,))


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
