"""`pnl-backend simulate`: runs the simulated upstreams of all source types."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress

from pnl_backend.commands.common import Subparsers

LAST_PORT_BASE = 65_532
"""The simulator listens on this port and the three after it."""


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("simulate", help="simulate the upstreams on loopback ports")
    parser.add_argument(
        "--port-base", type=_port_base, default=5000, metavar="PORT", help="first of four ports (5000); 0: free ones"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulator's moves (1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGINT."""
    from pnl_backend.simulator.run import run_forever
    from pnl_backend.sources.registry import further_simulators

    others = further_simulators()
    with suppress(KeyboardInterrupt):
        asyncio.run(run_forever(port_base=arguments.port_base or None, seed=arguments.seed, others=others))
    return 0


def _port_base(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= LAST_PORT_BASE:
        return int(text)
    raise argparse.ArgumentTypeError(f"given {text!r}, allowed: 0 to {LAST_PORT_BASE}")
