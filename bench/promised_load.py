"""The load that the product's documents promise, against the times that they promise, on one core.

    python -m bench.promised_load [seconds]

The full server runs on core 0: 500 Socket.IO clients, 100 event streams, 100 plain WebSockets, and 50 dashboards that
poll REST. Core 1 plays the upstreams, as slow as the documents expect them to be, and all the clients. Ticks come every
second, five times as often as by default, and every source is asked at each of them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import re
import statistics
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import aiohttp
import uvloop

from bench.tick import served
from pnl_backend.simulator import Fault, Simulator

RESULTS = Path(__file__).parent / "results"
KEY = "bench-key-0123456789abcdef0123456789abcdef"
SECONDS = 60.0
WARM_UP = 8.0
SOCKET_IO, EVENT_STREAMS, WEBSOCKETS, POLLERS = 500, 100, 100, 50
UPSTREAM_SECONDS = {"kalshi": 0.05, "anthropic": 0.05, "johns": 0.15}
"""A request's time upstream. Kalshi takes two, one after the other."""

DAY_MS = 86_400_000
_SEQ = re.compile(rb'"seq":(\d+)')


class Client(asyncio.Protocol):
    """Opens a stream by hand and notes when each update arrived (wall clock, s); messages are only searched."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.arrived: dict[int, float] = {}
        self.payloads: dict[int, bytes] | None = None
        self.ready = asyncio.get_running_loop().create_future()
        self._buffer = bytearray()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        path = {
            "Socket.IO": "/socket.io/?EIO=4&transport=websocket",
            "WebSocket": f"/ws?apiKey={KEY}",
            "SSE": f"/api/pnl/stream?apiKey={KEY}",
        }[self.kind]
        upgrade = ""
        if self.kind != "SSE":
            key = base64.b64encode(os.urandom(16)).decode()
            upgrade = (
                "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            )
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.time()
        self._buffer += data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not re.match(rb"HTTP/1\.1 (101|200) ", self._buffer):
                self.ready.set_exception(RuntimeError(self._buffer[:300].decode(errors="replace")))
                return
            self._open = True
            del self._buffer[: end + 4]
        for message in self._events() if self.kind == "SSE" else self._frames():
            self._take(message, now)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(RuntimeError(f"{self.kind}: the connection was closed"))

    def _events(self) -> Iterable[bytes]:
        while (end := self._buffer.find(b"\n\n")) >= 0:
            yield bytes(self._buffer[:end])
            del self._buffer[: end + 2]

    def _frames(self) -> Iterable[bytes]:
        """Unmasked frames, as servers send them."""
        while len(self._buffer) >= 2:
            length, head = self._buffer[1], 2
            if length == 126:
                length, head = int.from_bytes(self._buffer[2:4]), 4
            elif length == 127:
                length, head = int.from_bytes(self._buffer[2:10]), 10
            if len(self._buffer) < head + length:
                return
            yield bytes(self._buffer[head : head + length])
            del self._buffer[: head + length]

    def _take(self, message: bytes, now: float) -> None:
        if self.kind == "Socket.IO":
            if message.startswith(b"0"):
                self.send(f'40{{"apiKey":"{KEY}"}}')
            elif message.startswith(b"40"):
                self.send('42["subscribe_pnl"]')
            elif message == b"2":
                self.send("3")
            if not message.startswith(b'42["pnl_update"'):
                return
        if found := _SEQ.search(message):
            seq = int(found[1])
            self.arrived.setdefault(seq, now)
            if self.payloads is not None:
                self.payloads.setdefault(seq, message)
            if not self.ready.done():
                self.ready.set_result(None)

    def send(self, text: str) -> None:
        """A text frame masked with zeros; short messages alone."""
        self.transport.write(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text.encode())


async def connected(port: int, kind: str, count: int) -> list[Client]:
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(count):
        _, client = await loop.create_connection(lambda: Client(kind), "127.0.0.1", port)
        clients.append(client)
        await asyncio.wait_for(client.ready, 20)
    return clients


async def poll(session: aiohttp.ClientSession, url: str, took: list[float]) -> None:
    """A dashboard without a stream: figures, the last hours by the minute, a month by the hour, again and again."""
    while True:
        now = int(time.time() * 1000)
        for path in (
            "/api/pnl/current",
            f"/api/pnl/history?resolution=1m&from={now - DAY_MS // 4}&to={now}",
            f"/api/pnl/history?resolution=1h&from={now - 30 * DAY_MS}&to={now}",
        ):
            began = time.perf_counter()
            async with session.get(url + path, headers={"X-API-Key": KEY}) as answer:
                await answer.read()
                answer.raise_for_status()
            took.append(time.perf_counter() - began)
            await asyncio.sleep(1)


async def measure(seconds: float) -> str:
    async with Simulator(step_interval=0.25, kalshi_rate=None) as simulator:
        for upstream, delay in UPSTREAM_SECONDS.items():
            simulator.set_fault(upstream, Fault.slow(delay))
        env = {
            **simulator.environment(),
            **{f"{name}_MS": "1000" for name in ("UPDATE_INTERVAL", "KALSHI_POLL", "ANTHROPIC_POLL", "JOHNS_POLL")},
            "API_KEY": KEY,
            "METRICS_ACCESS": "loopback",
            "MAX_CONNECTIONS_PER_IP": "0",
        }
        async with served(**env) as server, aiohttp.ClientSession() as session:
            port = int(server.url.rpartition(":")[2])
            clients = await connected(port, "Socket.IO", SOCKET_IO)
            clients[0].payloads = {}
            clients += await connected(port, "SSE", EVENT_STREAMS)
            clients += await connected(port, "WebSocket", WEBSOCKETS)
            took: list[float] = []
            polling = [asyncio.create_task(poll(session, server.url, took)) for _ in range(POLLERS)]
            await asyncio.sleep(WARM_UP)
            first = max(clients[0].arrived) + 1
            before, took[:] = await metrics(session, server.url), []
            cpu, began = used(port), time.monotonic()
            await asyncio.sleep(seconds)
            cpu, lasted = used(port) - cpu, time.monotonic() - began
            after = await metrics(session, server.url)
            last = max(clients[0].arrived) - 1
            stats = await cache_stats(session, server.url)
            for task in polling:
                task.cancel()
            await asyncio.gather(*polling, return_exceptions=True)
            for client in clients:
                client.transport.abort()
    return table(clients, range(first, last + 1), before=before, after=after, took=took, stats=stats, cpu=cpu / lasted)


async def metrics(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with session.get(f"{url}/metrics", headers={"X-API-Key": KEY}) as answer:
        text = await answer.text()
    return {name: float(value) for name, value in re.findall(r"^(pnl_\S+) (\S+)$", text, re.MULTILINE)}


async def cache_stats(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(f"{url}/api/cache/stats", headers={"X-API-Key": KEY}) as answer:
        return dict((await answer.json())["data"])


def used(port: int) -> float:
    """CPU seconds of the process that listens on a port of ours."""
    inode = next(
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    )
    for folder in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if folder.readlink().as_posix() != f"socket:[{inode}]":
                continue
        except OSError:
            continue
        fields = (folder.parents[1] / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError("the server is gone")


def table(
    clients: list[Client],
    seqs: range,
    *,
    before: dict[str, float],
    after: dict[str, float],
    took: list[float],
    stats: dict[str, Any],
    cpu: float,
) -> str:
    assert clients[0].payloads is not None
    made, asked = {}, {}
    for seq in seqs:
        snapshot = json.loads(clients[0].payloads[seq][2:])[1]["data"]
        made[seq] = snapshot["calculatedAt"] / 1000
        asked[seq] = datetime.fromisoformat(snapshot["sources"]["kalshi"]["asOf"]).timestamp()
    missing = sum(seq not in client.arrived for client in clients[:SOCKET_IO] for seq in seqs)
    ends = {kind: last_copies(clients, kind, seqs) for kind in ("Socket.IO", "SSE", "WebSocket")}
    slowest = {seq: max(copies[seq] for copies in ends.values() if seq in copies) for seq in seqs}
    compute, commit = stage(before, after, "compute"), stage(before, after, "commit")
    rows = [
        ("aggregation: asking three sources until a snapshot", "200 ms", spread(made[q] - asked[q] for q in seqs)),
        ("calculation", "50 ms", f"mean {compute * 1000:.1f}"),
        ("commit to disk (synchronous=FULL)", "", f"mean {commit * 1000:.1f}"),
        *(
            (f"broadcast: computed until the last of {kind}", "100 ms", spread(copies[q] - made[q] for q in copies))
            for kind, copies in ends.items()
        ),
        (
            "end to end: asking the sources until the last client has it",
            "500 ms",
            spread(slowest[q] - asked[q] for q in seqs),
        ),
        ("cache hit rate", "> 90 %", f"{stats['hitRate']} of {stats['total']:,}"),
        ("REST answer under this load", "", spread(took)),
    ]
    text = "\n".join(f"| {name} | {limit} | {value} |" for name, limit, value in rows)
    return (
        f"| | promised | measured, ms |\n|---|---|---|\n{text}\n\n"
        f"{len(seqs)} ticks, {sum(len(c.arrived.keys() & set(seqs)) for c in clients):,} messages, {missing} missing; "
        f"the server used {cpu:.0%} of its core.\n"
    )


def last_copies(clients: list[Client], kind: str, seqs: range) -> dict[int, float]:
    """When the last client of a kind had each update; the ledger feed leaves out what changed by less than a cent."""
    own = [client.arrived for client in clients if client.kind == kind]
    return {seq: max(arrived[seq] for arrived in own) for seq in seqs if all(seq in arrived for arrived in own)}


def stage(before: dict[str, float], after: dict[str, float], name: str) -> float:
    """Mean seconds of one stage of a tick, by the server's own clock."""
    sums, counts = (f'pnl_tick_stage_seconds_{kind}{{stage="{name}"}}' for kind in ("sum", "count"))
    return (after[sums] - before[sums]) / (after[counts] - before[counts])


def spread(seconds: Iterable[float]) -> str:
    values = sorted(1000 * value for value in seconds)
    p99 = values[math.ceil(0.99 * len(values)) - 1]
    return f"median {statistics.median(values):.0f}, p99 {p99:.0f}, most {values[-1]:.0f}"


def main() -> str:
    """Measure; the table as Markdown, also written to bench/results/promised_load.md."""
    os.sched_setaffinity(0, {1} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    # Run by name with the others, the arguments are those others.
    seconds = float(sys.argv[1]) if len(sys.argv) == 2 and sys.argv[1].isdigit() else SECONDS
    found = uvloop.run(measure(seconds))
    RESULTS.mkdir(exist_ok=True)
    upstream = ", ".join(f"{name} {1000 * delay:.0f} ms" for name, delay in UPSTREAM_SECONDS.items())
    note = (
        f"{SOCKET_IO} Socket.IO clients, {EVENT_STREAMS} event streams, {WEBSOCKETS} plain WebSockets and {POLLERS} "
        f"polling dashboards on one core, a tick a second.\nA request takes upstream: {upstream}; Kalshi takes two, "
        "one after the other. The clients share the other core with the simulator."
    )
    (RESULTS / "promised_load.md").write_text(f"# The promised load\n\n{note}\n\n{found}")
    print(found)
    return found


if __name__ == "__main__":
    main()
