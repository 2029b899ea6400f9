"""Messages that are framed once for every transport, and what a peer's breach of a protocol raises; no I/O."""

from base64 import b64encode
from collections.abc import Sequence

from pnl_backend.engine.net.frames import BINARY, TEXT, frame

SEPARATOR = "\x1e"
"""Between two packets of a long-polling payload."""


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
            frames = [
                frame(TEXT, packet.encode()) if isinstance(packet, str) else frame(BINARY, packet)
                for packet in self.packets
            ]
            self._frame = frames[0] if len(frames) == 1 else b"".join(frames)
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
