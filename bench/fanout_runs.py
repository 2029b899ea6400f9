"""One run of each figure of the fan-out benchmark, and the medians of several; `fanout.py` describes how to run it."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.servers import HERE, KEY, NEVER, PRODUCT, Kind, Running, serving

REPEATS = int(os.environ.get("FANOUT_REPEATS", "3"))
SPIN = bool(os.environ.get("FANOUT_SPIN"))
"""Whether the load client never sleeps, so that no server pays for waking it."""
WARM, MEASURED = 40, 60
IDLE_SECONDS = 50.0
SETTLE = 3.0
"""Seconds after its first answer in which a server may still be busy with its start."""
Result = dict[str, float]


class Bench:
    """One run of everything, against one build of the load client."""

    def __init__(self, client: Path, sample: Path) -> None:
        self.client = client
        self.sample = sample

    def load(
        self, servers: Running | Sequence[Running], count: int, *options: str, broadcasts: int = 1, skip: int = 0
    ) -> Iterator[Any]:
        """The load client's lines as they come; its connections are spread over the servers."""
        ports = [server.port for server in ([servers] if isinstance(servers, Running) else servers)]
        command = ["taskset", "-c", "1", str(self.client), "--port", ",".join(map(str, ports)), "--n", str(count)]
        command += ["--spin"] if SPIN else []
        command += ["--broadcasts", str(broadcasts), "--skip", str(skip), "--apikey", KEY, "--timeout", "120", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    yield json.loads(line)
            finally:
                process.terminate()

    def fanout(self, kind: Kind, count: int, *options: str) -> Result:
        """CPU a message and latency, after warming up."""
        interval = max(150, count // 20)
        result: Result = {}
        with serving(kind, interval_ms=interval, sample=self.sample) as server:
            for line in self.load(server, count, *options, broadcasts=WARM + MEASURED, skip=WARM):
                cpu, kernel = server.cpu(), server.kernel()
                if line["ev"] == "warm":
                    before, in_kernel, messages = cpu, kernel, line["msgs"]
                elif line["ev"] == "done":
                    assert line["dead"] == 0, line
                    sent = line["msgs"] - messages
                    result["cpu_us"] = (cpu - before) / sent * 1e6
                    result["kernel_us"] = (kernel - in_kernel) / sent * 1e6
                    result |= {f"p{key[1:]}_ms": value for key, value in line["lat_ms"].items() if key != "max"}
                    result["bytes"] = line["bytes"] / line["msgs"]
        return result

    def connect(self, kind: Kind, count: int) -> Result:
        """Connects with subscription a second, with nothing else to do, and memory a client."""
        with serving(kind, interval_ms=int(NEVER), sample=self.sample) as server:
            time.sleep(SETTLE)
            before, cpu, kernel = server.resident(), server.cpu(), server.kernel()
            for line in self.load(server, count):
                if line["ev"] == "ready":
                    assert line["ready"] == count, line
                    return {
                        "per_s": line["conn_per_s"],
                        "cpu_us": (server.cpu() - cpu) / count * 1e6,
                        "kernel_us": (server.kernel() - kernel) / count * 1e6,
                        "memory_b": (server.resident() - before) / count,
                    }
        raise RuntimeError("the load client printed nothing")

    def idle(self, kind: Kind, count: int) -> Result:
        """CPU of a server whose clients only answer pings, as a share of a core."""
        quiet = dict.fromkeys(("KALSHI_POLL_MS", "ANTHROPIC_POLL_MS", "JOHNS_POLL_MS"), NEVER)
        with serving(kind, interval_ms=int(NEVER), sample=self.sample, settings=quiet) as server:
            for line in self.load(server, count):
                if line["ev"] == "ready":
                    time.sleep(5)
                    before, began = server.cpu(), time.monotonic()
                    time.sleep(IDLE_SECONDS)
                    return {"core": (server.cpu() - before) / (time.monotonic() - began) * 100}
        raise RuntimeError("the load client printed nothing")

    def slow(self, kind: Kind, neighbours: str) -> Result:
        """The healthy thousand's latency, alone, beside a thousand more, and beside a thousand that do not read."""
        with serving(kind, interval_ms=200, sample=self.sample) as server, contextlib.ExitStack() as stack:
            if neighbours != "none":
                command = [sys.executable, str(HERE / "slowreaders.py"), str(server.port), "1000", KEY, neighbours]
                readers = stack.enter_context(
                    subprocess.Popen(["taskset", "-c", "1", *command], stdout=subprocess.PIPE, text=True)
                )
                stack.callback(readers.terminate)
                assert readers.stdout is not None
                readers.stdout.readline()
            for line in self.load(server, 1000, broadcasts=WARM + MEASURED, skip=WARM):
                if line["ev"] == "done":
                    assert line["dead"] == 0, line
                    return {"p99_ms": line["lat_ms"]["p99"], "p50_ms": line["lat_ms"]["p50"]}
        raise RuntimeError("the load client printed nothing")

    def storm(self, kind: Kind, count: int) -> Result:
        """Everybody is cut and comes back at once."""
        with serving(kind, interval_ms=5000, sample=self.sample) as server:
            for line in self.load(server, count):
                if line["ev"] == "ready":
                    break
            before = fetches(server)
            for line in self.load(server, count, "--window", str(count)):
                if line["ev"] == "ready":
                    assert line["ready"] == count, line
                    return {"seconds": line["seconds"], "fetches": fetches(server) - before}
        raise RuntimeError("the load client printed nothing")


def fetches(server: Running) -> float:
    """Upstream calls that the server has made, by its own metrics; 0 for those that make none."""
    if server.kind is not PRODUCT:
        return 0
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/metrics", headers={"X-API-Key": KEY})
    with urllib.request.urlopen(request, timeout=10) as response:
        lines = response.read().decode().splitlines()
    counts = [line for line in lines if line.startswith("pnl_fetch") and "_count" in line.split("{")[0]]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


def alternate(kinds: list[Kind], measure: Callable[[Kind], Result]) -> dict[str, Result]:
    """Each kind in turn, again and again; the median of each value."""
    runs: dict[str, list[Result]] = {kind.name: [] for kind in kinds}
    for _ in range(REPEATS):
        for kind in kinds:
            runs[kind.name].append(measure(kind))
            print("  ", kind.name, {key: round(value, 2) for key, value in runs[kind.name][-1].items()}, flush=True)
    return {
        name: {key: statistics.median(run[key] for run in results) for key in results[0]}
        for name, results in runs.items()
    }
