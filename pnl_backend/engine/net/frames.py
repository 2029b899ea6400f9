"""WebSocket frames (RFC 6455), the server's side, without extensions; no I/O."""

import struct
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha1

from pnl_backend.engine.closes import BAD_FRAME, BAD_TEXT, PROTOCOL_ERROR, TOO_BIG, Close

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
WHOLE_TEXT = 0x80 | TEXT
"""The first byte of a text message in one frame."""
ABSENT_CODES = frozenset({1004, 1005, 1006, 1015})
"""Reserved: never on the wire (RFC 6455, 7.4.1)."""


class FrameError(Exception):
    """The peer's frames break RFC 6455; it is closed with `close`."""

    def __init__(self, close: Close) -> None:
        super().__init__(close.reason)
        self.close = close


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key."""
    digest = sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode(), usedforsecurity=False).digest()
    return b64encode(digest).decode()


def frame(opcode: int, payload: bytes) -> bytes:
    """One unmasked final frame."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, length) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, length) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what fits into a control frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:123].decode(errors="ignore").encode())


def unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR with the repeated four-byte mask, as one long integer: fast for the small messages clients send."""
    length = len(payload)
    if not length or mask == b"\0\0\0\0":
        return payload
    repeated = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(length, "little")


class FrameReader:
    """Client frames in, whole messages out: (opcode, payload), text decoded, fragments joined.

    After a FrameError it yields nothing but the peer's close frame.
    """

    __slots__ = ("buffer", "failed", "fragments", "limit", "opcode", "parts", "unread")

    def __init__(self, limit: int) -> None:
        """`limit` in bytes of one message; it may come in as many fragments, and one more that is empty."""
        self.limit = limit
        self.buffer = b""
        self.parts: bytearray | None = None
        self.fragments = 0
        self.opcode = 0
        self.failed = False
        self.unread = 0
        """Bytes to pass over, after an error, before the next frame begins."""

    def feed(self, data: bytes) -> Iterator[tuple[int, str | bytes]]:
        """Yield each message that `data` completes; raises FrameError where the peer breaks the rules."""
        if self.failed:
            yield from self._close_frames(data)
            return
        buffer = self.buffer + data if self.buffer else data
        self.buffer = b""
        offset, end = 0, len(buffer)
        try:
            while end - offset >= 2:
                first, second = buffer[offset], buffer[offset + 1]
                length = second & 0x7F
                start = offset + 6
                if length == 126:
                    start += 2
                elif length == 127:
                    start += 8
                if start - 4 > end:
                    break
                if length >= 126:
                    length = int.from_bytes(buffer[offset + 2 : start - 4], "big")
                self._check(first, second, length)
                if start + length > end:
                    break
                payload = unmask(buffer[start : start + length], buffer[start - 4 : start])
                offset = start + length
                message = self._message(first, payload)
                if message is not None:
                    yield message
        except FrameError:
            self.failed = True
            self.parts = None
            raise
        finally:
            # Also when the reader is left in the middle: the rest comes with the next feed.
            self.buffer = buffer[offset:] if offset < end else b""

    def _close_frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Pass over frames by their lengths alone, without keeping their payloads; yield close frames."""
        buffer = self.buffer + data
        while buffer:
            passed = min(self.unread, len(buffer))
            self.unread -= passed
            buffer = buffer[passed:]
            if len(buffer) < 2:
                break
            length = buffer[1] & 0x7F
            start = 2 + (2 if length == 126 else 8 if length == 127 else 0)
            if len(buffer) < start:
                break
            if length >= 126:
                length = int.from_bytes(buffer[2:start], "big")
            if buffer[0] & 0x0F == CLOSE:
                yield CLOSE, b""
            self.unread = start + length + (4 if buffer[1] & 0x80 else 0)
        self.buffer = buffer

    def _check(self, first: int, second: int, length: int) -> None:
        """Judge a frame by its header, before its payload is waited for."""
        if first == WHOLE_TEXT and second & 0x80 and self.parts is None and length <= self.limit:
            return  # what clients send nearly always
        opcode = first & 0x0F
        if first & 0x70:
            raise FrameError(BAD_FRAME.because("reserved bits are set"))
        if not second & 0x80:
            raise FrameError(BAD_FRAME.because("client frames are masked"))
        if opcode >= 8:
            if opcode > PONG or not first & 0x80 or length > 125:
                raise FrameError(BAD_FRAME.because("bad control frame"))
            return
        if opcode > BINARY or (opcode == CONTINUATION) is (self.parts is None):
            raise FrameError(BAD_FRAME.because("bad opcode"))
        if len(self.parts or b"") + length > self.limit:
            raise FrameError(TOO_BIG)

    def _message(self, first: int, payload: bytes) -> tuple[int, str | bytes] | None:
        opcode = first & 0x0F
        if first == WHOLE_TEXT:
            return TEXT, _text(payload)
        if opcode == CLOSE:
            _check_close(payload)
            return opcode, payload
        if opcode >= 8:
            return opcode, payload
        if not first & 0x80 or opcode == CONTINUATION:
            if self.parts is None:
                self.parts, self.opcode, self.fragments = bytearray(), opcode, 0
            self.parts += payload
            self.fragments += 1
            if self.fragments > self.limit + 1:
                raise FrameError(PROTOCOL_ERROR.because("too many fragments"))
            if not first & 0x80:
                return None
            payload, opcode, self.parts = bytes(self.parts), self.opcode, None
        return opcode, _text(payload) if opcode == TEXT else payload


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise FrameError(BAD_TEXT) from error


def _check_close(payload: bytes) -> None:
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    known = 1000 <= code <= 1014 and code not in ABSENT_CODES
    if len(payload) < 2 or not (known or 3000 <= code <= 4999):
        raise FrameError(BAD_FRAME.because("bad close code"))
    _text(payload[2:])
