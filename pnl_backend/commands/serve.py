"""`pnl-backend serve`: runs the server until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from loguru import logger

from pnl_backend.commands.common import Subparsers, load_settings, run_async
from pnl_backend.errors import ConfigError
from pnl_backend.ops.logging import setup_logging
from pnl_backend.ops.suspended import suspended_tasks
from pnl_backend.settings.model import Settings
from pnl_backend.settings.text import notices

STOP_WITHIN = 10.0
"""Seconds from the first signal to exit; what is not closed by then is left."""


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("serve", help="run the server (the default)")
    add_arguments(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `serve`, which the command line without a command takes too.

    They have no default: a default of `serve` would replace a value that was given before the command.
    """
    parser.set_defaults(run=run)
    absent = argparse.SUPPRESS
    parser.add_argument("--port", type=int, default=absent, help="port to listen on, before the setting PORT")
    parser.add_argument("--host", default=absent, help="address to listen on, before the setting HOST")


def run(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments)
    with suppress(OSError):  # opening the ledger reports it; the server starts all the same
        settings.database.parent.mkdir(parents=True, exist_ok=True)
    setup_logging(
        level=settings.log_level,
        directory=settings.log_dir,
        json_lines=settings.log_json,
        secrets=settings.secrets,
    )
    for line in notices(settings):
        logger.warning(line)
    return run_async(_serve(settings, lambda: load_settings(arguments)))


async def _serve(settings: Settings, load: Callable[[], Settings]) -> int:
    from pnl_backend.app import running

    stop = asyncio.Event()
    _handle_stop_signals(stop)
    async with running(settings) as server:
        _handle_reload_signal(server.replace_keys, load)
        _log_start(settings, server.url)
        await stop.wait()
    logger.info("stopped")
    return 0


def _handle_stop_signals(stop: asyncio.Event) -> None:
    """The first SIGTERM or SIGINT drains, a second one ends at once; a drain that hangs is ended after ten seconds."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()
        loop.call_later(STOP_WITHIN - 0.5, _exit_unfinished)

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, on_signal)


def _exit_unfinished() -> None:
    """End the process, and log what it was waiting for."""
    waiting = "; ".join(suspended_tasks())
    logger.error("stopping has taken {:g} s, the process ends now; it was waiting in: {}", STOP_WITHIN - 0.5, waiting)
    os._exit(1)


def _handle_reload_signal(replace_keys: Callable[[Settings], None], load: Callable[[], Settings]) -> None:
    """SIGHUP reads `.env` again for its keys: new ones are accepted at once, connections of removed ones are closed."""

    def on_signal() -> None:
        try:
            fresh = load()
        except ConfigError as error:
            logger.error("the keys stay as they are, the settings have a problem: {}", "; ".join(error.problems))
            return
        replace_keys(fresh)

    with suppress(NotImplementedError, AttributeError):  # there is no SIGHUP on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_signal)


def _log_start(settings: Settings, url: str) -> None:
    if settings.demo_mode:
        logger.warning("DEMO: the three upstreams are simulated, every figure is invented")
    if not settings.api_key:
        logger.warning("no API_KEY: every program on this machine may read")
    logger.info("P&L server ready: {}", url)
