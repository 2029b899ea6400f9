"""Fan-out, connects, memory and idling of the whole server beside Node's socket.io, in alternating runs.

    python -m bench fanout            all figures; about half an hour on a quiet machine
    FANOUT_REPEATS=1 FANOUT_CLIENTS=2000 python -m bench fanout

The server runs on core 0, the load client on core 1. Medians over the runs; Node is warmed up like everybody.
"""

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.servers import (
    ENGINE,
    HERE,
    KEY,
    NEVER,
    NODE,
    PRODUCT,
    ROOT,
    Kind,
    Running,
    build,
    need,
    serving,
    take_sample,
)

REPEATS = int(os.environ.get("FANOUT_REPEATS", "3"))
CLIENTS = [int(count) for count in os.environ.get("FANOUT_CLIENTS", "2000,5000,10000").split(",")]
ONLY = os.environ.get("FANOUT_ONLY", "").split(",") if os.environ.get("FANOUT_ONLY") else None
"""Names of figures: fanout, connect, idle, deflate, slow, storm."""
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

    def load(self, server: Running, count: int, *options: str, broadcasts: int = 1, skip: int = 0) -> Iterator[Any]:
        """The load client's lines as they come."""
        command = ["taskset", "-c", "1", str(self.client), "--port", str(server.port), "--n", str(count)]
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
            before, cpu = server.resident(), server.cpu()
            for line in self.load(server, count):
                if line["ev"] == "ready":
                    assert line["ready"] == count, line
                    return {
                        "per_s": line["conn_per_s"],
                        "cpu_us": (server.cpu() - cpu) / count * 1e6,
                        "memory_b": (server.resident() - before) / count,
                    }
        raise RuntimeError("the load client said nothing")

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
        raise RuntimeError("the load client said nothing")

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
        raise RuntimeError("the load client said nothing")

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
        raise RuntimeError("the load client said nothing")


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


def wanted(name: str) -> bool:
    return ONLY is None or name in ONLY


def measure_all(bench: Bench) -> list[str]:
    """The table's rows."""
    rows: list[str] = []

    def row(*cells: str, holds: bool) -> None:
        """Figure, ours, Node's, ratio, target."""
        rows.append(f"| {' | '.join(cells)} | {'met' if holds else '**not met**'} |")
        print(rows[-1], flush=True)

    if wanted("fanout"):
        for count in CLIENTS:
            print(f"fan-out to {count}", flush=True)
            got = alternate([PRODUCT, NODE, ENGINE], lambda kind, count=count: bench.fanout(kind, count))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            ours, node, engine = got["ours"], got["Node"], got["engine alone"]
            ratio = node["cpu_us"] / ours["cpu_us"]
            row(
                f"CPU per message, {count:,} clients ({ours['bytes']:.0f} B)",
                f"{ours['cpu_us']:.1f} us ({ours['kernel_us']:.1f} in the kernel; engine alone {engine['cpu_us']:.1f})",
                f"{node['cpu_us']:.1f} us ({node['kernel_us']:.1f} in the kernel)",
                f"{ratio:.2f}",
                "1.7 or more",
                holds=ratio >= 1.7,
            )
            share = ours["p99_ms"] / node["p99_ms"]
            row(
                f"p99 emit to arrival, {count:,} clients",
                f"{ours['p99_ms']:.0f} ms (p50 {ours['p50_ms']:.0f})",
                f"{node['p99_ms']:.0f} ms (p50 {node['p50_ms']:.0f})",
                f"{share:.2f}",
                "80 ms and below 0.7" if count == 10_000 else "below 0.7",
                holds=share < 0.7 and (count != 10_000 or ours["p99_ms"] <= 80),
            )
    if wanted("connect"):
        print("connects and memory", flush=True)
        got = alternate([PRODUCT, NODE, ENGINE], lambda kind: bench.connect(kind, 5000))
        ours, node, engine = got["ours"], got["Node"], got["engine alone"]
        ratio = ours["per_s"] / node["per_s"]
        row(
            "connects with subscription per second, 5,000",
            f"{ours['per_s']:,.0f} (engine alone {engine['per_s']:,.0f})",
            f"{node['per_s']:,.0f}",
            f"{ratio:.2f}",
            "1.2 or more",
            holds=ratio >= 1.2,
        )
        share = ours["memory_b"] / node["memory_b"]
        row(
            "memory per client, 5,000",
            f"{ours['memory_b'] / 1000:.1f} KB (engine alone {engine['memory_b'] / 1000:.1f})",
            f"{node['memory_b'] / 1000:.1f} KB",
            f"{share:.2f}",
            "a third or less",
            holds=share <= 1 / 3,
        )
    if wanted("idle"):
        print("idle", flush=True)
        got = alternate([PRODUCT, NODE, ENGINE], lambda kind: bench.idle(kind, 2000))
        ours, node, engine = got["ours"], got["Node"], got["engine alone"]
        row(
            "idle CPU, 2,000 clients, 25 s pings",
            f"{ours['core']:.2f} % of a core (engine alone {engine['core']:.2f})",
            f"{node['core']:.2f} %",
            f"{ours['core'] / node['core']:.2f}",
            "1 or less",
            holds=ours["core"] <= node["core"],
        )
    if wanted("deflate"):
        print("permessage-deflate offered", flush=True)
        plain = alternate([PRODUCT], lambda kind: bench.fanout(kind, 2000))["ours"]
        offered = alternate([PRODUCT], lambda kind: bench.fanout(kind, 2000, "--deflate"))["ours"]
        ratio = offered["cpu_us"] / plain["cpu_us"]
        row(
            "CPU per message, permessage-deflate offered, 2,000",
            f"{offered['cpu_us']:.1f} us (without {plain['cpu_us']:.1f})",
            "",
            f"{ratio:.2f}",
            "the same (within 5 %)",
            holds=ratio <= 1.05,
        )
    if wanted("slow"):
        print("slow readers", flush=True)
        alone = alternate([PRODUCT], lambda kind: bench.slow(kind, "none"))["ours"]
        crowd = alternate([PRODUCT], lambda kind: bench.slow(kind, "reading"))["ours"]
        beside = alternate([PRODUCT], lambda kind: bench.slow(kind, "stuck"))["ours"]
        ratio = beside["p99_ms"] / alone["p99_ms"]
        row(
            "p99 of 1,000 healthy beside 1,000 slow readers",
            f"{beside['p99_ms']:.1f} ms (beside 1,000 healthy {crowd['p99_ms']:.1f}, alone {alone['p99_ms']:.1f})",
            "",
            f"{ratio:.2f}",
            "moves by less than 20 %",
            holds=ratio < 1.2,
        )
    if wanted("storm"):
        print("reconnect storm", flush=True)
        got = alternate([PRODUCT, NODE], lambda kind: bench.storm(kind, 2000))
        ours = got["ours"]
        row(
            "reconnect storm of 2,000",
            f"{ours['seconds']:.2f} s, {ours['fetches']:.0f} upstream calls meanwhile",
            f"{got['Node']['seconds']:.2f} s",
            "",
            "all back within 5 s, upstream calls unchanged",
            holds=ours["seconds"] <= 5 and ours["fetches"] <= 4,
        )
    return rows


def main() -> None:
    """Measure and write bench/results/fanout.md."""
    need("node", "npm", "gcc", "taskset")
    client = build()
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.json"
        sample.write_text("{}")
        bench = Bench(client, take_sample(sample))
        load = os.getloadavg()[0]
        rows = measure_all(bench)
    node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    how = (
        "Whole server (store, auth, demo simulator, real messages) on core 0, load client on core 1; medians of "
        f"{REPEATS} alternating runs, {WARM} broadcasts to warm up, {MEASURED} measured. CPython "
        f"{platform.python_version()}, Node {node}; load average before the run {load:.2f}. `python -m bench fanout` "
        "does it again."
    )
    report = [
        "# Fan-out beside Node's socket.io 4.8.4",
        "",
        how,
        "",
        "| figure | ours | Node | ratio | target | |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    where = ROOT / "bench" / "results" / ("fanout.md" if ONLY is None else "fanout-partial.md")
    where.write_text("\n".join(report))


if __name__ == "__main__":
    main()
