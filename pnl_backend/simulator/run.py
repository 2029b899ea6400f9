"""Runs a simulator from the command line until it is stopped."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pnl_backend.sources.simulated import Simulate

from .book import Book
from .simulator import Simulator


async def run_forever(
    *,
    port_base: int | None = 5000,
    seed: int = 1,
    step_interval: float = 1.0,
    host: str = "127.0.0.1",
    large: bool = False,
    others: Sequence[Simulate] = (),
) -> None:
    """Serve until SIGINT or SIGTERM, having printed the URLs and credentials as settings for the server.

    Ports are port_base (revenue), +1 (Kalshi), +2 (Anthropic), +3 (control), free ones for `others`; None takes free
    ones for all. `large` simulates an account of 20,000 settled and 500 open markets and 300,000 fills.
    """
    book = Book.large(time.time(), seed=seed) if large else None
    simulator = Simulator(book, seed=seed, step_interval=step_interval, host=host, port_base=port_base, others=others)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="pnl-simulator-") as folder:
        async with simulator:
            print(_settings(simulator, Path(folder)), flush=True)  # noqa: T201 - what it is run for
            await stop.wait()


def _settings(simulator: Simulator, folder: Path) -> str:
    """Lines for `.env`; the private key goes to a file that only its owner may read."""
    values = simulator.settings()
    key_file = folder / "kalshi-private-key.pem"
    key_file.touch(mode=0o600)
    key_file.write_text(values.pop("kalshi_private_key"), "utf-8")
    values |= {"kalshi_ws_url": simulator.kalshi_ws_url, "kalshi_private_key_path": str(key_file)}
    settings = "\n".join(f"{name.upper()}={value}" for name, value in values.items())
    return f"{settings}\n# faults, steps and amounts: POST JSON to {simulator.control_url}"
