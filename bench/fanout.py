"""Fan-out, connects, memory and idling of the whole server beside socket.io on Node and on Bun, in alternating runs.

    python -m bench fanout                                      all figures; about 45 minutes on a quiet machine
    FANOUT_ONLY=connect FANOUT_REPEATS=5 python -m bench fanout     the named ones, written to fanout-partial.md
    FANOUT_REPEATS=1 FANOUT_CLIENTS=2000 python -m bench fanout
    FANOUT_SPIN=1 python -m bench fanout                        with a load client that no send has to wake

The server runs on core 0, the load client on core 1, with the same messages for all. Medians over the runs; Node and
Bun are warmed up like everybody. CPU is that of the server's process, all threads and the kernel's part included.
"""

import os
import platform
import tempfile
from pathlib import Path

from bench.fanout_runs import MEASURED, REPEATS, SPIN, WARM, Bench
from bench.fanout_table import HEADINGS, measure
from bench.servers import BUN, NODE, ROOT, build, need, take_sample, version

ONLY = os.environ.get("FANOUT_ONLY", "").split(",") if os.environ.get("FANOUT_ONLY") else None
"""Names of figures: fanout, connect, idle, deflate, slow, storm."""


def main() -> None:
    """Measure and write bench/results/fanout.md, or fanout-partial.md with the figures of `FANOUT_ONLY`."""
    need("node", "npm", "gcc", "taskset")
    client = build()
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.json"
        sample.write_text("{}")
        bench = Bench(client, take_sample(sample))
        load = os.getloadavg()[0]
        rows = measure(bench, ONLY)
    how = (
        "Whole server (store, auth, demo simulator, real messages) on core 0, load client on core 1"
        f"{', which never sleeps' if SPIN else ''}; medians of "
        f"{REPEATS} alternating runs, {WARM} broadcasts to warm up, {MEASURED} measured. CPython "
        f"{platform.python_version()}, Node {version(NODE)}, Bun {version(BUN)}; load average before the run "
        f"{load:.2f}. `python -m bench fanout` does it again."
    )
    report = ["# Fan-out beside socket.io 4.8.4 on Node and on Bun", "", how, "", *HEADINGS, *rows, ""]
    where = ROOT / "bench" / "results" / ("fanout.md" if ONLY is None else "fanout-partial.md")
    where.write_text("\n".join(report))


if __name__ == "__main__":
    main()
