"""A hundred thousand malformed inputs: nothing escapes, nothing stays, nobody else notices. Seeded and bounded."""

import asyncio
import os
import random
import socket
from typing import Any

import pytest

from pnl_backend.engine.engineio.packets import decode_payload
from pnl_backend.engine.net.frames import FrameError, FrameReader
from pnl_backend.engine.net.messages import ProtocolError
from pnl_backend.engine.net.requests import clean_upgrade
from pnl_backend.engine.socketio import packets as socketio_packets
from tests.engine.conftest import Start, serving

SEED = int(os.environ.get("FUZZ_SEED", "20260225"))
PURE = int(os.environ.get("FUZZ_PURE", "90000"))
"""Inputs thrown at the parsers alone, a third each: frames, packets, payloads."""
WIRE = int(os.environ.get("FUZZ_WIRE", "100000"))
"""Inputs thrown at a running server over its sockets."""

VALID = [
    '2["message",1,{"a":[true,null,"x"]}]',
    '2/custom,12["message-with-ack",1.5]',
    '0{"token":"x"}',
    "0/custom,",
    "1",
    "3/custom,7[1]",
    '52-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
]
SPICE = [
    "[",
    "]",
    "{",
    "}",
    '"',
    ",",
    "-",
    "/",
    "9" * 30,
    "\x1e",
    "\0",
    "\\",
    "é",
    "_placeholder",
    "null",
    "1e999",
    "\ud7ff",
]


def mutated(text: str, dice: random.Random) -> str:
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(text))
        match dice.randint(0, 3):
            case 0:
                text = text[:at] + dice.choice(SPICE) + text[at:]
            case 1:
                text = text[:at] + text[at + dice.randint(1, 5) :]
            case 2:
                text = text[:at] + chr(dice.randint(0, 255)) + text[at + 1 :]
            case _:
                text = text[:at] + text[at:][::-1]
    return text


def client_frame(dice: random.Random, payload: bytes) -> bytes:
    """A masked frame with, most of the time, something wrong."""
    first = 0x80 | dice.choice([1, 1, 1, 2, 8, 9, 10]) if dice.random() < 0.7 else dice.randint(0, 255)
    if len(payload) > 125 and dice.random() < 0.9:
        head = bytes((first, 0xFE)) + len(payload).to_bytes(2, "big")
    else:
        length = len(payload) if len(payload) < 126 and dice.random() < 0.8 else dice.randint(0, 127)
        head = bytes((first, (0x80 if dice.random() < 0.9 else 0) | length))
    return head + b"\0\0\0\0" + payload


def test_parsers_raise_nothing_but_their_own_errors() -> None:
    dice = random.Random(SEED)
    outcomes = {"frames": 0, "packets": 0, "payloads": 0}
    for number in range(PURE):
        kind = ("frames", "packets", "payloads")[number % 3]
        try:
            if kind == "frames":
                stream = b"".join(client_frame(dice, dice.randbytes(dice.randint(0, 200))) for _ in range(2))
                list(FrameReader(16384).feed(stream))
            elif kind == "packets":
                socketio_packets.decode(mutated(dice.choice(VALID), dice))
            else:
                body = "\x1e".join("4" + mutated(dice.choice(VALID), dice) for _ in range(2))
                decode_payload(body.encode(errors="replace") if dice.random() < 0.8 else dice.randbytes(60))
        except (FrameError, ProtocolError):
            outcomes[kind] += 1
    assert all(count > PURE / 30 for count in outcomes.values()), f"too little of it is wrong: {outcomes}"


def test_no_request_head_raises_an_error() -> None:
    dice = random.Random(SEED)
    head = "GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nX: y\r\n\r\n"
    for _ in range(2000):
        clean_upgrade(mutated(head, dice).encode(errors="replace"))


WEBSOCKET = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
POLLING = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"


def text_frame(payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


def closes(received: bytes) -> bool:
    """Whether a close frame is among the frames behind the answer's head."""
    _, found, rest = received.partition(b"\r\n\r\n")
    while found and len(rest) >= 2:
        if rest[0] & 0x0F == 8:
            return True
        extended = rest[1] == 126
        length = int.from_bytes(rest[2:4], "big") if extended else rest[1]
        rest = rest[(4 if extended else 2) + length :]
    return False


class Gunner:
    """Throws from a thread, over blocking sockets that wait a second and no longer."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.dice = random.Random(SEED)

    def fire(self, count: int) -> None:
        for number in range(count):
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=1.0)
            with sock:
                if number % 10:
                    self.websocket(sock)
                else:
                    self.polling(sock)

    def websocket(self, sock: socket.socket) -> None:
        """A frame; then a text that is no packet, which ends a session that had taken the frame for good."""
        if self.dice.random() < 0.6:
            rubbish = text_frame(("4" + mutated(self.dice.choice(VALID), self.dice)).encode(errors="replace"))
        else:
            # Whole frames with a wrong header: one that promises more than comes would only be slow.
            rubbish = bytes((self.dice.randint(0, 255), 0x80)) + b"\0\0\0\0"
        try:
            sock.sendall(WEBSOCKET + text_frame(b"40") + rubbish + text_frame(b"9no packet"))
            received = b""
            while part := sock.recv(65536):
                received += part
                if closes(received):
                    break  # and hang up, as a client does that has read a close frame
        except ConnectionError:
            pass  # a reset is a close too

    def polling(self, sock: socket.socket) -> None:
        """A session, then a payload whose last packet at least is none."""
        sock.sendall(POLLING)
        sid = self.answer(sock).partition(b'"sid":"')[2].partition(b'"')[0].decode()
        parts = ["40", *("4" + mutated(self.dice.choice(VALID), self.dice) for _ in range(2)), "9"]
        body = "\x1e".join(parts).encode(errors="replace")
        head = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}"
        sock.sendall(head.encode() + b"\r\n\r\n" + body)
        assert b" 400 " in self.answer(sock).split(b"\r\n")[0]

    @staticmethod
    def answer(sock: socket.socket) -> bytes:
        data = b""
        while b"}" not in data:
            part = sock.recv(4096)
            assert part, data
            data += part
        return data


@pytest.mark.timeout(170)
@pytest.mark.slow(50)
async def test_malformed_input_affects_no_other_client(start: Start) -> None:
    """Each malformed input is answered within a second, the other client's feed goes on, nothing escapes or stays."""
    escaped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: escaped.append(context))
    engine = await start(ping_interval=60, connect_timeout=60, max_queue_events=100_000)
    bystander = await engine.connected("websocket")
    sid = engine.log[0][1]
    seen: list[str] = []

    async def watch() -> None:
        while True:
            seen.append(str(await bystander.packet()))

    watching = asyncio.create_task(watch())
    gunner = Gunner(engine.port)
    batches = WIRE // 100
    for number in range(batches):
        await asyncio.to_thread(gunner.fire, 100)
        await engine.server.emit("tick", number, to=sid)
        engine.log.clear()
    await engine.until(lambda: engine.server.stats().clients == 1)
    await engine.until(lambda: len(seen) == batches)
    assert seen == [f'42["tick",{number}]' for number in range(batches)]
    await engine.until(lambda: not serving())
    assert not escaped
    assert engine.server.stats().handler_errors == 0
    assert set(engine.server.environ) == set(engine.server.clients)
    assert engine.server.stats().protocol_errors >= WIRE * 0.9
    watching.cancel()
