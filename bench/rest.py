"""REST requests per second and per CPU-second of the whole server, beside a bare aiohttp application.

    python -m bench.rest [turns]

The server runs pinned to core 0 with its simulator, store and loop; a raw keep-alive client runs on core 1. A figure
per CPU-second divides by what the server's process used. Each request is compared with a bare application that is
asked in turns with it, half a second each: a machine whose speed changes with what else it does changes both.

The bare application stands there twice. asyncio reads into 256 KiB, which glibc takes from the kernel anew for every
read until its threshold has risen, as it does at some time in a process's life; then a request costs a third less. So
one is started fresh for each case and one with the threshold raised. uvloop, which our server runs on, reads into a
buffer that it keeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import cast

import uvloop

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
KEY = "bench-key-0123456789abcdef0123456789abcdef"
CONNECTIONS = 32
WARM_UP = 1.0
TURN = 0.5
"""Seconds for which one of the two servers is asked before it is the other's turn."""

BARE = """
import sys
from aiohttp import web
async def hello(request):
    return web.json_response({"hello": "world"})
app = web.Application()
app.router.add_get("/hello", hello)
app.router.add_get("/health/ready", hello)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""

NOTE = f"""{CONNECTIONS} keep-alive connections, the server on one core, in turns of {TURN:g} s with the bare
application. Medians of the turns; the ratios are per CPU-second, turn by turn, with their range. asyncio, on which the
bare application runs, reads into 256 KiB that glibc takes from the kernel for each read, until its thresholds for that
have risen: the second bare application was started with them raised.
"""

HEAD = [
    "| request | per second | per CPU-second | of bare aiohttp | of it with the threshold raised |",
    "|---|---|---|---|---|",
]

NODE = """
Measured on the Node server before this project began: 600 requests a second on its `/api/pnl/current`, 6,900 on its
plainest route.
"""


@dataclass(frozen=True)
class Case:
    """What is asked of which server."""

    name: str
    path: str
    environment: dict[str, str] | None = None  # None: the bare application
    bare: bool = False

    def command(self, port: int) -> list[str]:
        if self.bare or self.environment is None:
            return [sys.executable, "-c", BARE, str(port)]
        return [sys.executable, str(ROOT / "server.py")]


PLAIN = {"RATE_LIMIT_PER_MINUTE": "0"}
LIMITED = {"RATE_LIMIT_PER_MINUTE": "100000000"}
BARE_CASE = Case("bare aiohttp, hello world", "/hello")
RAISED_CASE = Case(
    "the same, threshold raised",
    "/hello",
    {"MALLOC_MMAP_THRESHOLD_": "4194304", "MALLOC_TRIM_THRESHOLD_": "8388608"},
    bare=True,
)
CASES = [
    Case("/api/pnl/current, key, headers, id, access log", "/api/pnl/current", PLAIN),
    Case("the same with the rate limiter", "/api/pnl/current", LIMITED),
    Case("the same, log level warning (no access log)", "/api/pnl/current", {**LIMITED, "LOG_LEVEL": "warning"}),
    Case("/api/pnl/breakdown", "/api/pnl/breakdown", PLAIN),
    Case("/api/pnl/history?limit=100", "/api/pnl/history?limit=100", PLAIN),
    Case("/health/live", "/health/live", PLAIN),
]


@dataclass
class Tally:
    """What all connections together got."""

    answered: int = 0
    refused: bytes = b""


class Client(asyncio.Protocol):
    """One keep-alive connection, which sends the next request after each answer until it is stopped."""

    transport: asyncio.Transport

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._buffer = b""
        self._on = False
        self.waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def go(self) -> None:
        self._on = True
        self._ask()

    def stop(self) -> None:
        self._on = False

    def _ask(self) -> None:
        self.waiting = True
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.index(b"Content-Length: ") + 16
        length = int(self._buffer[at : self._buffer.index(b"\r\n", at)])
        if len(self._buffer) < head + 4 + length:
            return
        if not self._buffer.startswith(b"HTTP/1.1 200 "):
            self._tally.refused = self._buffer
            return
        self._buffer = b""
        self._tally.answered += 1
        self.waiting = False
        if self._on:
            self._ask()


class Load:
    """Keep-alive connections to one server, which send the next request after each answer while the load is on."""

    def __init__(self, port: int, pid: int, path: str) -> None:
        self._port, self._pid, self._path = port, pid, path
        self._clients: list[Client] = []
        self._tally = Tally()

    async def open(self) -> None:
        request = f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {KEY}\r\nAccept: */*\r\n\r\n".encode()
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, client = await loop.create_connection(lambda: Client(request, self._tally), "127.0.0.1", self._port)
            self._clients.append(client)

    async def turn(self, seconds: float) -> tuple[float, float]:
        """Answers per second, and per second of the process's CPU time."""
        for client in self._clients:
            client.go()
        count, cpu, began = self._tally.answered, cpu_seconds(self._pid), time.monotonic()
        await asyncio.sleep(seconds)
        for client in self._clients:
            client.stop()
        while any(client.waiting for client in self._clients) and not self._tally.refused:  # noqa: ASYNC110 - 32 connections have no common event
            await asyncio.sleep(0.001)
        count, cpu, took = self._tally.answered - count, cpu_seconds(self._pid) - cpu, time.monotonic() - began
        if self._tally.refused:
            raise RuntimeError(self._tally.refused.decode())
        return count / took, count / cpu

    def close(self) -> None:
        for client in self._clients:
            client.transport.abort()


Turns = list[tuple[float, float]]
"""Answers per second and per CPU-second, turn by turn."""


async def compare(servers: list[tuple[int, int]], paths: list[str], turns: int) -> list[Turns]:
    """Servers asked in turns: what else the machine does then touches all alike."""
    loads = [Load(*server, path) for server, path in zip(servers, paths, strict=True)]
    for one in loads:
        await one.open()
        await one.turn(WARM_UP)
    results = [[await one.turn(TURN) for one in loads] for _ in range(turns)]
    for one in loads:
        one.close()
    return [list(column) for column in zip(*results, strict=True)]


def row(name: str, own: Turns, beside: list[Turns]) -> str:
    """A line of the table: medians, and for each bare server the median and the range of the ratios turn by turn."""
    cells = [f"{median(rate for rate, _ in own):,.0f}", f"{median(cpu for _, cpu in own):,.0f}"]
    for bare in beside:
        ratios = [mine / theirs for (_, mine), (_, theirs) in zip(own, bare, strict=True)]
        cells.append(f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return f"| {name} | {' | '.join(cells)} |"


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that the process's threads have used, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@contextlib.contextmanager
def served(case: Case) -> Iterator[tuple[int, int]]:
    """The server of a case on a free port, pinned to core 0: port and process id."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PORT": str(port),
            "API_KEY": KEY,
            "DEMO": "true",
            "DB_PATH": f"{folder}/pnl.db",
            "LOG_DIR": f"{folder}/logs",
            **(case.environment or {}),
        }
        with (Path(folder) / "output").open("wb") as output:
            process = subprocess.Popen(
                ["taskset", "-c", "0", *case.command(port)], env=environment, cwd=folder, stdout=output, stderr=output
            )
            try:
                wait_until_ready(port, process, Path(folder) / "output")
                yield port, process.pid
            finally:
                process.terminate()
                process.wait(15)


def wait_until_ready(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(output.read_text())
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
            return
        time.sleep(0.05)
    raise RuntimeError("the server did not become ready")


def main(turns: int = 15) -> str:
    """Measure every case; the table as Markdown, also written to bench/results/rest.md."""
    os.sched_setaffinity(0, {1} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    rows: list[str] = []
    totals: list[Turns] = [[], []]
    for case in CASES:
        with served(BARE_CASE) as fresh, served(RAISED_CASE) as raised, served(case) as ours:
            paths = [BARE_CASE.path, RAISED_CASE.path, case.path]
            *beside, own = uvloop.run(compare([fresh, raised, ours], paths, turns))
        for total, bare in zip(totals, beside, strict=True):
            total.extend(bare)
        rows.append(row(case.name, own, beside))
        print(rows[-1], flush=True)
    first = [row(case.name, total, totals) for case, total in zip((BARE_CASE, RAISED_CASE), totals, strict=True)]
    table = "\n".join([*HEAD, *first, *rows]) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rest.md").write_text(f"# REST\n\n{NOTE}\n{table}{NODE}")
    return table


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
