"""The clients of the soak: some read what they are sent, some do not, and none of them goes on for ever.

Each is a coroutine that connects, behaves in its way, goes away and comes back, until it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

BROKEN = (OSError, TimeoutError, aiohttp.ClientError, EOFError)
"""What a connection that ends looks like from here."""
SEPARATOR = "\x1e"
HANDSHAKE = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
UPGRADE = f"Upgrade: websocket\r\nConnection: Upgrade\r\n{HANDSHAKE}"


@dataclass
class Soak:
    """Where the clients connect, how long a visit of a reading client lasts (s), and what they met."""

    host: str
    port: int
    stay: tuple[float, float]
    chance: random.Random
    visits: Counter[str] = field(default_factory=Counter)
    updates: Counter[str] = field(default_factory=Counter)
    replaced: int = 0
    """Updates in whose place a client that lagged got a newer one; the server counts those, too."""
    faults: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def visit(self) -> float:
        """Seconds until a client leaves."""
        return self.chance.uniform(*self.stay)


class Follower:
    """The updates of one client over all its visits: none twice, and none missed but what the server replaced."""

    def __init__(self, soak: Soak, kind: str) -> None:
        self.soak = soak
        self.kind = kind
        self.epoch = ""
        self.seq = 0

    @property
    def since(self) -> dict[str, Any] | None:
        return {"since": {"epoch": self.epoch, "seq": self.seq}} if self.epoch else None

    def update(self, message: dict[str, Any]) -> None:
        data, source = message["data"], message["source"]
        jump = data["seq"] - self.seq - 1 if data["epoch"] == self.epoch and source != "initial" else 0
        if source == "stream" and jump > 0:
            self.soak.replaced += jump
        elif jump:
            self.soak.faults.append(f"{self.kind}: {self.seq}, then {data['seq']} as {source}")
        self.epoch, self.seq = data["epoch"], data["seq"]
        self.soak.updates[self.kind] += 1

    def ledger(self, message: dict[str, Any]) -> None:
        data = message["data"]
        wrong = data["prevSeq"] != self.seq if message["type"] == "delta" else data["seq"] < self.seq
        if wrong:
            self.soak.faults.append(f"{self.kind}: {self.seq}, then a {message['type']} of {data['seq']}")
        self.epoch, self.seq = data.get("epoch", self.epoch), data["seq"]
        self.soak.updates[self.kind] += 1


async def again(soak: Soak, kind: str, visit: Callable[[], Awaitable[None]]) -> None:
    """Visit after visit."""
    while True:
        soak.visits[kind] += 1
        with contextlib.suppress(*BROKEN):
            await visit()
        await asyncio.sleep(soak.chance.uniform(0.05, 0.5))


async def websocket(soak: Soak) -> None:
    """Socket.IO over WebSocket; a visit ends with a close frame."""
    follower = Follower(soak, "websocket")

    async def visit() -> None:
        async with (
            aiohttp.ClientSession() as session,
            asyncio.timeout(soak.visit()),
            session.ws_connect(f"{soak.url}/socket.io/?EIO=4&transport=websocket") as ws,
        ):
            async for frame in ws:
                for answer in received(follower, str(frame.data)):
                    await ws.send_str(answer)

    await again(soak, "websocket", visit)


async def polling(soak: Soak) -> None:
    """Socket.IO over long polling; a visit ends in the middle of a poll."""
    follower = Follower(soak, "polling")

    async def visit() -> None:
        async with aiohttp.ClientSession() as session, asyncio.timeout(soak.visit()):
            url = f"{soak.url}/socket.io/?EIO=4&transport=polling"
            async with session.get(url) as opened:
                handshake = await opened.text()
            url += f"&sid={json.loads(handshake[1:])['sid']}"
            answers = received(follower, handshake)
            while True:
                if answers:
                    async with session.post(url, data=SEPARATOR.join(answers)) as taken:
                        taken.raise_for_status()
                async with session.get(url) as polled:
                    polled.raise_for_status()
                    packets = (await polled.text()).split(SEPARATOR)
                answers = [answer for packet in packets for answer in received(follower, packet)]

    await again(soak, "polling", visit)


def received(follower: Follower, packet: str) -> list[str]:
    """What a client answers to one Engine.IO packet."""
    if packet.startswith("0"):
        return ["40" + json.dumps({"recovery": False})]
    if packet.startswith("40"):
        return ["42" + json.dumps(["subscribe_pnl", follower.since])]
    if packet == "2":
        return ["3"]
    if packet.startswith("42"):
        event, *arguments = json.loads(packet[2:])
        if event == "pnl_update":
            follower.update(arguments[0])
    return []


async def plain(soak: Soak) -> None:
    """The ledger feed over a plain WebSocket."""

    async def visit() -> None:
        follower = Follower(soak, "plain")
        async with (
            aiohttp.ClientSession() as session,
            asyncio.timeout(soak.visit()),
            session.ws_connect(f"{soak.url}/ws") as ws,
        ):
            async for frame in ws:
                follower.ledger(json.loads(frame.data))

    await again(soak, "plain", visit)


async def events(soak: Soak) -> None:
    """The ledger feed as server-sent events, resumed at every visit."""
    follower = Follower(soak, "events")

    async def visit() -> None:
        last = {"Last-Event-ID": f"{follower.epoch}-{follower.seq}"} if follower.epoch else {}
        async with (
            aiohttp.ClientSession() as session,
            asyncio.timeout(soak.visit()),
            session.get(f"{soak.url}/api/pnl/stream", headers=last) as answer,
        ):
            answer.raise_for_status()
            async for line in answer.content:
                if line.startswith(b"data:"):
                    follower.ledger(json.loads(line[5:]))

    await again(soak, "events", visit)


async def slow(soak: Soak) -> None:
    """Subscribes to everything over a small window and never reads; ends when the server cuts it, or after a while."""
    requests = ("40", "40/pnl,", "40/components,", "40/dashboard,")

    async def visit() -> None:
        with await connected(soak, window=2048) as sock:
            loop = asyncio.get_running_loop()
            head = f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {soak.host}\r\n{UPGRADE}\r\n"
            await loop.sock_sendall(sock, head.encode() + b"".join(map(masked, requests)))
            await asyncio.sleep(soak.visit())

    await again(soak, "slow", visit)


async def silent(soak: Soak) -> None:
    """Says nothing, half a head, a head without end, or a head whose body never comes, until the server hangs up."""
    beginnings = (
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Filler: 0123456789\r\n" * 1000,
        b"POST /api/cache/clear HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
        b"POST /socket.io/?EIO=4&transport=polling&sid=none HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
    )

    async def visit() -> None:
        with await connected(soak) as sock:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, soak.chance.choice(beginnings))
            while await loop.sock_recv(sock, 65536):
                pass

    await again(soak, "silent", visit)


async def resetting(soak: Soak) -> None:
    """Asks for something and resets the connection a moment later."""
    requests = (
        "GET /api/pnl/current HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /api/pnl/export?resolution=raw HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /api/pnl/stream HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n",
        f"GET /ws HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n",
        "GET / HTTP/1.1\r\nHost:",
    )

    async def visit() -> None:
        with await connected(soak) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await asyncio.get_running_loop().sock_sendall(sock, soak.chance.choice(requests).encode())
            await asyncio.sleep(soak.chance.choice((0.0, 0.002, 0.05, 1.0)))

    await again(soak, "resetting", visit)


async def connected(soak: Soak, *, window: int = 0) -> socket.socket:
    """A connection by hand; `window` is its receive buffer in bytes, 0 for the usual one."""
    sock = socket.socket()
    sock.setblocking(False)
    if window:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (soak.host, soak.port))
    except BaseException:
        sock.close()
        raise
    return sock


def masked(text: str) -> bytes:
    """A short text as a client's frame, under a mask of zeros."""
    return b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text.encode()


CLIENTS: dict[str, Callable[[Soak], Awaitable[None]]] = {
    "websocket": websocket,
    "polling": polling,
    "plain": plain,
    "events": events,
    "slow": slow,
    "silent": silent,
    "resetting": resetting,
}
