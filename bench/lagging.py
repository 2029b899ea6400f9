"""The whole server, as `python server.py` starts it, that tells the worst lateness of its event loop when asked.

The server's own measure runs every 5 ms instead of every 250, so that it meets every long callback. SIGUSR1 makes it
print `worst loop lag: SECONDS SECONDS` since the last time: how late the loop was, and the most CPU time that its
thread used between two measures, which other programs on the machine do not change.
"""

import functools
import os
import signal
import sys
import time
from typing import Any

from pnl_backend.commands.cli import main
from pnl_backend.ops import loop_lag
from pnl_backend.ops.metrics import Metrics

EVERY = 0.005
SAYS = b"worst loop lag: "

worst = busiest = 0.0
used: float | None = None
observe = Metrics.loop_lag


def noted(self: Metrics, seconds: float) -> None:
    global worst, busiest, used
    before, used = used, time.thread_time()
    worst, busiest = max(worst, seconds), max(busiest, used - (used if before is None else before))
    observe(self, seconds)


def tell(*_: Any) -> None:
    global worst, busiest  # noqa: PLW0603 - a signal handler has no other place for what it counts
    os.write(1, SAYS + f"{worst:.6f} {busiest:.6f}\n".encode())
    worst = busiest = 0.0


if __name__ == "__main__":
    Metrics.loop_lag = noted  # type: ignore[method-assign] # a benchmark's own stopwatch
    loop_lag.watching = functools.partial(loop_lag.watching, interval=EVERY)  # type: ignore[assignment] # a partial of the same call
    signal.signal(signal.SIGUSR1, tell)
    sys.argv = sys.argv[:1]
    sys.exit(main())
