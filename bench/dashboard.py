"""The dashboard: what a first visit downloads, when the first number is shown, and what an update costs the page.

    python -m bench.dashboard

Needs npm and chromium. The server runs pinned to core 0 with its simulator, the browser on core 1 without a GPU, so
the canvas is painted by the CPU. An update is one tick: three messages, the page's own clocks, a chart of 10,000
points.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.rest import KEY, PLAIN, RESULTS, ROOT, Case, served

CLIENT = ROOT / "client"


def node(script: str, *arguments: str) -> Any:
    command = ["node", str(CLIENT / "scripts" / script), *arguments]
    return json.loads(subprocess.run(command, cwd=CLIENT, check=True, capture_output=True, text=True).stdout)


def main() -> str:
    """Measure; the table as Markdown, also written to bench/results/dashboard.md."""
    os.sched_setaffinity(0, {1} & os.sched_getaffinity(0) or os.sched_getaffinity(0))
    if not Path(CLIENT / "dist" / "index.html").exists():
        subprocess.run(["npm", "run", "build"], cwd=CLIENT, check=True)
    weight = node("weigh.mjs")
    with served(Case("dashboard", "/", {**PLAIN, "UPDATE_INTERVAL_MS": "250"})) as (port, _):
        page = node("measure.mjs", f"http://127.0.0.1:{port}", KEY)
    first = page["firstNumberMs"]
    rows = [
        ("script, gzip", "150 kB", f"{weight['script']['gzip'] / 1000:.1f} kB"),
        ("script, Brotli", "", f"{weight['script']['brotli'] / 1000:.1f} kB"),
        ("style, gzip", "", f"{weight['style']['gzip'] / 1000:.1f} kB"),
        ("first number, first visit", "1 s", f"{first['firstVisit']:.0f} ms"),
        ("first number, cache warm and figures kept", "1 s", f"{first['again']:.0f} ms"),
        (f"main-thread CPU an update, {page['points']:,} points", "8 ms", f"{page['updateMs']:.1f} ms"),
    ]
    table = "| | limit | measured |\n|---|---|---|\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)
    print(table, end="", flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "dashboard.md").write_text(f"# The dashboard\n\n{table}")
    return table


if __name__ == "__main__":
    main()
