"""Packets, payloads and frames without a socket, and the fast frame against the ordinary encoder."""

import json
import struct
from typing import Any

import pytest
from engineio.packet import MESSAGE as EIO_MESSAGE
from engineio.packet import Packet as EioPacket
from engineio.payload import Payload
from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import EVENT
from socketio.packet import Packet as SioPacket
from websockets.frames import Frame, Opcode

from pnl_backend.engine import create_server
from pnl_backend.engine.engineio.packets import decode_packet, decode_payload
from pnl_backend.engine.net.frames import FrameError, FrameReader, close_frame, frame
from pnl_backend.engine.net.messages import Message, ProtocolError
from pnl_backend.engine.socketio import packets as socketio_packets

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
DATA = st.recursive(
    JSON | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMESPACES = st.just("/") | st.from_regex(r"/[a-z0-9_\-]{1,12}", fullmatch=True)


@given(event=st.text(min_size=1, max_size=30), namespace=NAMESPACES, arguments=st.lists(DATA, max_size=3))
def test_the_fast_frame_is_the_ordinary_encoders(event: str, namespace: str, arguments: list[Any]) -> None:
    """Ordinary: python-socketio's packet, python-engineio's packet, the websockets library's frame."""
    message = create_server().manager.encode(event, tuple(arguments), namespace)
    encoded = SioPacket(EVENT, namespace=namespace, data=[event, *arguments]).encode()
    parts = [EioPacket(EIO_MESSAGE, part) for part in (encoded if isinstance(encoded, list) else [encoded])]
    ordinary = b"".join(
        Frame(
            Opcode.TEXT if isinstance(data := part.encode(), str) else Opcode.BINARY,
            data.encode() if isinstance(data, str) else data,
        ).serialize(mask=False)
        for part in parts
    )
    assert message.frame == ordinary
    assert message.payload == Payload(packets=[EioPacket(EIO_MESSAGE, part.data) for part in parts]).encode()


@given(event=st.text(min_size=1, max_size=30), arguments=st.lists(DATA, max_size=3), offset=st.text(max_size=12))
def test_an_offset_is_the_ordinary_encoders_last_argument(event: str, arguments: list[Any], offset: str) -> None:
    rooms = create_server().manager
    extended = socketio_packets.with_argument(rooms.encode(event, tuple(arguments), "/n"), offset)
    assert extended.frame == rooms.encode(event, (*arguments, offset), "/n").frame


def masked(opcode: int, payload: bytes, mask: bytes = b"\1\2\3\4", *, final: bool = True) -> bytes:
    """A client frame, by another library's hand where it allows the mask to be chosen."""
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    length = len(payload)
    first = (0x80 if final else 0) | opcode
    if length < 126:
        head = struct.pack("!BB", first, 0x80 | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, length)
    return head + mask + body


@given(
    messages=st.lists(st.tuples(st.booleans(), st.text(max_size=400)), min_size=1, max_size=6),
    mask=st.binary(min_size=4, max_size=4),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    pieces=st.integers(1, 4),
)
def test_frames_arrive_however_they_are_cut(
    messages: list[tuple[bool, str]], mask: bytes, cuts: list[int], pieces: int
) -> None:
    stream = b""
    for text, content in messages:
        payload = content.encode()
        size = max(1, -(-len(payload) // pieces))
        parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        for index, part in enumerate(parts):
            opcode = 0 if index else 1 if text else 2
            stream += masked(opcode, part, mask, final=index == len(parts) - 1)
    reader, got, position, turn = FrameReader(16384), [], 0, 0
    while position < len(stream):
        step = cuts[turn % len(cuts)]
        got += list(reader.feed(stream[position : position + step]))
        position, turn = position + step, turn + 1
    assert got == [(1, content) if text else (2, content.encode()) for text, content in messages]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01a", 1002),  # not masked
        (masked(1 | 0x40, b"a"), 1002),  # reserved bit: permessage-deflate was not negotiated
        (masked(3, b"a"), 1002),  # reserved opcode
        (masked(11, b""), 1002),
        (masked(0, b"a"), 1002),  # continuation of nothing
        (masked(1, b"a", final=False) + masked(1, b"b"), 1002),  # text inside of a text
        (masked(9, b"a" * 126), 1002),  # control frame too long
        (masked(9, b"a", final=False), 1002),
        (masked(1, b"\xff"), 1007),
        (masked(8, b"\x03"), 1002),
        (masked(8, b"\x03\xed"), 1002),  # 1005
        (masked(8, b"\x03\xe8\xff"), 1007),
        (masked(1, b"a" * 16385), 1009),
        (b"\x81\xff" + (1 << 63).to_bytes(8, "big") + b"\0\0\0\0", 1009),  # judged by its header alone
        (masked(1, b"a" * 10000, final=False) + masked(0, b"a" * 10000), 1009),
        (masked(1, b"", final=False) + masked(0, b"", final=False) * 16385, 1008),
    ],
)
def test_frames_that_break_the_rules(data: bytes, code: int) -> None:
    with pytest.raises(FrameError) as caught:
        list(FrameReader(16384).feed(data))
    assert caught.value.close.code == code


def test_control_frames_may_come_between_fragments() -> None:
    stream = masked(1, b"a", final=False) + masked(9, b"ping") + masked(0, b"b")
    assert list(FrameReader(100).feed(stream)) == [(9, b"ping"), (1, "ab")]


@pytest.mark.parametrize(
    ("opcode", "size"),
    [(opcode, size) for opcode in (1, 2) for size in (0, 1, 125, 126, 127, 65535, 65536, 70000)] + [(9, 3), (10, 125)],
)
def test_server_frames_are_another_librarys(opcode: int, size: int) -> None:
    assert frame(opcode, b"x" * size) == Frame(Opcode(opcode), b"x" * size).serialize(mask=False)


def test_a_close_reason_is_cut_between_characters() -> None:
    assert len(close_frame(1008, "é" * 100)) <= 127
    close_frame(1008, "é" * 100)[4:].decode()


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\x1e"), max_size=20) | st.binary(max_size=20), min_size=1, max_size=5
    )
)
def test_payloads_round_trip(contents: list[str | bytes]) -> None:
    message = Message([content if isinstance(content, bytes) else "4" + content for content in contents])
    try:
        body = message.payload.encode()
    except UnicodeEncodeError:
        return  # lone surrogates never leave json.dumps
    assert decode_payload(body) == [("4", content) for content in contents]


@pytest.mark.parametrize("packet", ["", "7", "x", "b!", "bYQ", "bY Q=", "bé"])
def test_packets_that_are_none(packet: str) -> None:
    with pytest.raises(ProtocolError):
        decode_packet(packet)


@given(
    kind=st.sampled_from([2, 3]),
    namespace=NAMESPACES,
    ack=st.none() | st.integers(0, 10**15 - 1),
    data=st.lists(JSON, max_size=3),
)
def test_socketio_packets_round_trip(kind: int, namespace: str, ack: int | None, data: list[Any]) -> None:
    if kind == 3 and ack is None:
        ack = 1
    payload = ["event", *data]
    encoded = SioPacket(kind, data=payload, namespace=namespace, id=ack).encode()
    try:
        json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        with pytest.raises(ProtocolError):
            socketio_packets.decode(encoded, max_depth=1000)
        return
    packet = socketio_packets.decode(encoded, max_depth=1000)
    assert (packet.kind, packet.namespace, packet.id) == (kind, namespace, ack)
    if all(abs(number) < 2**63 for number in _integers(payload)):
        assert packet.data == payload


def _integers(value: Any) -> list[int]:
    if isinstance(value, list):
        return [number for item in value for number in _integers(item)]
    if isinstance(value, dict):
        return [number for item in value.values() for number in _integers(item)]
    return [value] if isinstance(value, int) else []


@given(st.lists(DATA, min_size=1, max_size=3).filter(SioPacket.data_is_binary))
def test_binary_packets_come_together_again(arguments: list[Any]) -> None:
    encoded = SioPacket(EVENT, data=["event", *arguments]).encode()
    assert isinstance(encoded, list)
    if len(encoded) > 11:
        return
    try:
        packet = socketio_packets.decode(encoded[0], max_depth=1000)
    except ProtocolError:
        return  # lone surrogates, or a placeholder of the client's own making
    done = [packet.attach(attachment) for attachment in encoded[1:]]
    assert done == [False] * (len(done) - 1) + [True]


def test_sse_text_is_split_into_data_lines() -> None:
    assert Message.text("a\nb", event_id="e-1").event == b"id: e-1\ndata: a\ndata: b\n\n"


def test_messages_are_encoded_once() -> None:
    message = Message.text("x")
    assert message.frame is message.frame
    assert message.event is message.event
