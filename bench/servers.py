"""The servers that the fan-out figures compare, each pinned to core 0, and what they use."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
KEY = "bench-key-0123456789abcdef0123456789abcdef"
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"
NEVER = "86400000"
"""A day, in ms: longer than any measurement."""


@dataclass(frozen=True)
class Kind:
    """One way to serve the feed."""

    name: str
    command: tuple[str, ...]


PRODUCT = Kind("ours", (sys.executable, "-m", "bench.product"))
ENGINE = Kind("engine alone", (sys.executable, "-m", "bench.fanout_harness"))
NODE = Kind("Node", ("node", str(HERE / "node" / "server.js")))
BUN = Kind("Bun", (str(HERE / "node" / "node_modules" / ".bin" / "bun"), str(HERE / "node" / "bun.js")))


@dataclass
class Running:
    """A server that is ready."""

    kind: Kind
    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU that all its threads have used, to the nanosecond."""
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def kernel(self) -> float:
        """Seconds of that which were spent in the kernel, to the tick."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[12]) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> int:
        """Bytes of resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def serving(
    kind: Kind, *, interval_ms: int, sample: Path, settings: Mapping[str, str] | None = None, cores: str = "0"
) -> Iterator[Running]:
    """Start a server on a free port with an empty store, on these cores (`taskset`'s list); stop it afterwards."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PORT": str(port),
            "API_KEY": KEY,
            "DEMO": "true",
            "DB_PATH": f"{folder}/pnl.db",
            "LOG_DIR": f"{folder}/logs",
            "LOG_LEVEL": "warning",
            "UPDATE_INTERVAL_MS": str(interval_ms),
            "PING_INTERVAL_MS": "25000",
            "MAX_CONNECTIONS": "0",
            "MAX_CONNECTIONS_PER_IP": "0",
            "SAMPLE": str(sample),
            **(settings or {}),
        }
        with (Path(folder) / "output").open("wb") as output:
            command = ["taskset", "-c", cores, *kind.command]
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
            try:
                clients = environment.get("ROLE") != "poll"
                _wait(port, process, Path(folder) / "output", HANDSHAKE if clients else "/health/live")
                yield Running(kind, port, process.pid)
            finally:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]", output: Path, path: str) -> None:
    """Until it answers a request for this path."""
    url = f"http://127.0.0.1:{port}{path}"
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(output.read_text())
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.05)
    raise RuntimeError("the server did not become ready")


def build() -> Path:
    """The load client, compiled, and the packages of Node and Bun at their locked versions."""
    folder = HERE / "build"
    folder.mkdir(exist_ok=True)
    client = folder / "loadclient"
    subprocess.run(["gcc", "-O2", "-o", client, HERE / "loadclient.c"], check=True)
    if not Path(BUN.command[0]).exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=HERE / "node", check=True)
    return client


def need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"this measurement needs {', '.join(missing)}")


def version(kind: Kind) -> str:
    """Of the program that runs a server."""
    return subprocess.run([kind.command[0], "--version"], check=True, capture_output=True, text=True).stdout.strip()


def take_sample(where: Path) -> Path:
    """One message of the product's own, for the compared servers to send."""
    with serving(PRODUCT, interval_ms=1000, sample=where) as server:
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/api/pnl/current", headers={"X-API-Key": KEY})
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)
    where.write_text(json.dumps({"data": answer["data"], "timestamp": answer["timestamp"]}, separators=(",", ":")))
    return where
