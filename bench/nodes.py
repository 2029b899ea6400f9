"""Fan-out of a cluster: what a message costs and how late it is with 1, 2 and 4 nodes that push, beside one server.

    python -m bench nodes

A node that polls, Redis and PostgreSQL run beside the nodes that push. All nodes that push share core 0, the load
client has core 1: two cores cannot show how capacity grows with cores of their own. They can show whether a message
costs more when the same clients are spread over more nodes, and whether a node of a cluster costs more than a server
alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.fanout_runs import MEASURED, REPEATS, WARM, Bench, Result
from bench.servers import PRODUCT, ROOT, Running, build, need, serving, take_sample
from tests.redis_server import RedisServer
from tests.support.postgres import private_postgres

CLIENTS = 4_000
INTERVAL_MS = 400
COUNTS = (1, 2, 4)
HEAD = """# Fan-out over several nodes

{clients:,} clients over the nodes that push, an update every {interval} ms; the nodes on core 0, the load client
on core 1; medians of {repeats} alternating runs, {warm} broadcasts to warm up, {measured} measured; load average
before the run {load:.2f}. `python -m bench nodes` does it again. CPU is that of all nodes that push, or of the server
alone.

| | CPU per message | in the kernel | p50 ms | p99 ms |
|---|---:|---:|---:|---:|
"""


@contextlib.contextmanager
def pushing(sample: Path, count: int) -> Iterator[list[Running]]:
    """So many nodes that push, with a node that polls."""
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(private_postgres())
        redis = RedisServer(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pnl-nodes-"))))
        asyncio.run(redis.start())
        stack.callback(lambda: asyncio.run(redis.stop()))
        shared = {"BUS_URL": redis.url, "DATABASE_URL": postgres.database(), "LEASE_MS": "3000"}

        def node(role: str, cores: str) -> Running:
            settings = {**shared, "ROLE": role}
            made = serving(PRODUCT, interval_ms=INTERVAL_MS, sample=sample, settings=settings, cores=cores)
            return stack.enter_context(made)

        node("poll", "0,1")
        yield [node("push", "0") for _ in range(count)]


def run(bench: Bench, servers: list[Running]) -> Result:
    result: Result = {}
    for line in bench.load(servers, CLIENTS, broadcasts=WARM + MEASURED, skip=WARM):
        cpu, kernel = sum(server.cpu() for server in servers), sum(server.kernel() for server in servers)
        if line["ev"] == "warm":
            before, in_kernel, messages = cpu, kernel, line["msgs"]
        elif line["ev"] == "done":
            assert line["dead"] == 0, line
            sent = line["msgs"] - messages
            result = {"cpu_us": (cpu - before) / sent * 1e6, "kernel_us": (kernel - in_kernel) / sent * 1e6}
            result |= {"p50_ms": line["lat_ms"]["p50"], "p99_ms": line["lat_ms"]["p99"]}
    return result


def alone(bench: Bench) -> Result:
    with serving(PRODUCT, interval_ms=INTERVAL_MS, sample=bench.sample) as server:
        return run(bench, [server])


def main() -> None:
    """Measure and write bench/results/nodes.md."""
    need("gcc", "taskset")
    client = build()
    load = os.getloadavg()[0]
    runs: dict[str, list[Result]] = {}
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.json"
        sample.write_text("{}")
        bench = Bench(client, take_sample(sample))
        for _ in range(REPEATS):
            runs.setdefault("one server alone", []).append(alone(bench))
            for count in COUNTS:
                with pushing(bench.sample, count) as servers:
                    runs.setdefault(f"{count} that push", []).append(run(bench, servers))
                    print(count, runs[f"{count} that push"][-1], flush=True)
    lines = []
    for name, results in runs.items():
        cpu, kernel, p50, p99 = (
            statistics.median(result[key] for result in results) for key in ("cpu_us", "kernel_us", "p50_ms", "p99_ms")
        )
        lines.append(f"| {name} | {cpu:.1f} us | {kernel:.1f} us | {p50:.0f} | {p99:.0f} |")
    head = HEAD.format(clients=CLIENTS, interval=INTERVAL_MS, repeats=REPEATS, warm=WARM, measured=MEASURED, load=load)
    report = head + "\n".join(lines) + "\n"
    print(report)
    (ROOT / "bench" / "results" / "nodes.md").write_text(report)


if __name__ == "__main__":
    main()
