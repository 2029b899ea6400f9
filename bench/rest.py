"""REST requests per second and per CPU-second of the whole server, beside a bare aiohttp application.

    python -m bench.rest [seconds]

The server runs pinned to core 0 with its simulator, store and loop; a raw keep-alive client runs on core 1. A figure
per CPU-second divides by what the server's process used, so it holds on a machine that is busy with other things too.
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
from typing import cast

import uvloop

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
KEY = "bench-key-0123456789abcdef0123456789abcdef"
CONNECTIONS = 32
WARM_UP = 1.0
TICKS = os.sysconf("SC_CLK_TCK")

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

NOTE = f"""{CONNECTIONS} keep-alive connections, the server on one core. The first figure falls with what else the
machine does meanwhile; the second is the server's own cost.
"""

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

    def command(self, port: int) -> list[str]:
        if self.environment is None:
            return [sys.executable, "-c", BARE, str(port)]
        return [sys.executable, str(ROOT / "server.py")]


PLAIN = {"RATE_LIMIT_PER_MINUTE": "0"}
LIMITED = {"RATE_LIMIT_PER_MINUTE": "100000000"}
CASES = [
    Case("bare aiohttp, hello world", "/hello"),
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
    """One keep-alive connection that asks again as soon as it was answered."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

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
        self._transport.write(self._request)


async def load(port: int, pid: int, path: str, seconds: float) -> tuple[float, float]:
    """Answers per second, and per second of the process's CPU time."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {KEY}\r\nAccept: */*\r\n\r\n".encode()
    loop, tally = asyncio.get_running_loop(), Tally()
    transports = [
        (await loop.create_connection(lambda: Client(request, tally), "127.0.0.1", port))[0] for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(WARM_UP)
    count, cpu, began = tally.answered, cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(seconds)
    count, cpu, took = tally.answered - count, cpu_seconds(pid) - cpu, time.monotonic() - began
    for transport in transports:
        transport.abort()
    if tally.refused:
        raise RuntimeError(tally.refused.decode())
    return count / took, count / cpu


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


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


def main(seconds: float = 5.0) -> str:
    """Measure every case; the table as Markdown, also written to bench/results/rest.md."""
    os.sched_setaffinity(0, {1} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    lines = ["| request | per second | per CPU-second |", "|---|---|---|"]
    for case in CASES:
        with served(case) as (port, pid):
            rate, per_cpu = uvloop.run(load(port, pid, case.path, seconds))
        lines.append(f"| {case.name} | {rate:,.0f} | {per_cpu:,.0f} |")
        print(lines[-1], flush=True)
    table = "\n".join(lines) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "rest.md").write_text(f"# REST\n\n{NOTE}\n{table}{NODE}")
    return table


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
