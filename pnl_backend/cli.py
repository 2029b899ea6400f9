"""The command line: serve (the default), check, settings, simulate."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from loguru import logger

from pnl_backend import config_text
from pnl_backend.config import Settings
from pnl_backend.errors import ConfigError, PnLError
from pnl_backend.ops.logging import learn_secrets, setup_logging

STOP_WITHIN = 10.0
"""Seconds from the first signal to exit; what is not closed by then is left."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; answers the process's exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        print("The server was not started. Mend these settings:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 2
    except PnLError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def serve(_: argparse.Namespace) -> int:
    settings = config_text.load()
    settings.database.parent.mkdir(parents=True, exist_ok=True)
    _set_up_logging(settings)
    return _run(_serve(settings))


def _set_up_logging(settings: Settings) -> None:
    setup_logging(
        level=settings.log_level,
        directory=settings.log_dir,
        json_lines=settings.log_json,
        secrets=settings.secrets,
    )


async def _serve(settings: Settings) -> int:
    from pnl_backend.app import running

    stop = asyncio.Event()
    _on_signals(stop)
    async with running(settings) as server:
        _on_reload(server.take_keys)
        _announce(settings, server.url)
        await stop.wait()
    logger.info("stopped")
    return 0


def _on_signals(stop: asyncio.Event) -> None:
    """The first SIGTERM or SIGINT drains, a second one ends at once; a drain that hangs is ended after ten seconds."""
    loop = asyncio.get_running_loop()

    def received() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()
        loop.call_later(STOP_WITHIN - 0.5, os._exit, 1)

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, received)


def _on_reload(take_keys: Callable[[Settings], None]) -> None:
    """SIGHUP reads `.env` again for its keys: new ones open at once, what a removed one opened is closed."""

    def reload() -> None:
        try:
            fresh = config_text.load()
        except ConfigError as error:
            logger.error("the keys stay as they are, the settings have a problem: {}", "; ".join(error.problems))
            return
        learn_secrets(fresh.secrets)
        take_keys(fresh)

    with suppress(NotImplementedError, AttributeError):  # there is no SIGHUP on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _announce(settings: Settings, url: str) -> None:
    if settings.demo_mode:
        logger.warning("DEMO: the three upstreams are simulated, every figure is invented")
    if not settings.api_key:
        logger.warning("no API_KEY: everybody on this machine may read")
    logger.info("P&L server ready: {}", url)


def _run(main_coroutine: Coroutine[Any, Any, int]) -> int:
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return asyncio.run(main_coroutine)
    return uvloop.run(main_coroutine)


def check(_: argparse.Namespace) -> int:
    from pnl_backend.check import report

    return _run(report(config_text.load()))


def simulate(arguments: argparse.Namespace) -> int:
    from pnl_backend.simulator.run import run_forever

    with suppress(KeyboardInterrupt):
        asyncio.run(run_forever(port_base=arguments.port_base, seed=arguments.seed))
    return 0


def settings_command(arguments: argparse.Namespace) -> int:
    if arguments.example:
        print(config_text.example(), end="")
        return 0
    for name, value in config_text.describe(config_text.load()):
        print(f"{name:<36}{value}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pnl-backend", description="Real-time P&L streaming server.")
    parser.set_defaults(run=serve)
    commands = parser.add_subparsers(title="commands")
    commands.add_parser("serve", help="run the server (the default)").set_defaults(run=serve)
    commands.add_parser("check", help="try every part and say in plain words what is wrong").set_defaults(run=check)
    played = commands.add_parser("simulate", help="play the three upstreams on loopback ports")
    played.add_argument("--port-base", type=int, default=5000, help="first of four ports (5000)")
    played.add_argument("--seed", type=int, default=1, help="seed of the simulator's moves (1)")
    played.set_defaults(run=simulate)
    shown = commands.add_parser("settings", help="print the effective settings, secrets masked")
    shown.add_argument("--example", action="store_true", help="print the text of .env.example instead")
    shown.set_defaults(run=settings_command)
    return parser
