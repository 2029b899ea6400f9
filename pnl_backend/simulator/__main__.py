"""`python -m pnl_backend.simulator --port-base 5000 --seed 1`: the three upstreams by themselves."""

from __future__ import annotations

import argparse
import asyncio

from .run import run_forever


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pnl_backend.simulator", description=__doc__)
    parser.add_argument("--port-base", type=int, default=5000, help="revenue, Kalshi, Anthropic, control from here on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--step-interval", type=float, default=1.0, help="seconds between steps")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--large", action="store_true", help="an account of 20,500 markets and 300,000 fills")
    given = parser.parse_args()
    asyncio.run(
        run_forever(
            port_base=given.port_base,
            seed=given.seed,
            step_interval=given.step_interval,
            host=given.host,
            large=given.large,
        )
    )


if __name__ == "__main__":
    main()
