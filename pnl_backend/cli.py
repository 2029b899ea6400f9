"""The command line: serve (the default), check, backup, restore, export, settings, simulate."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
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
        print("These settings must be mended first:", file=sys.stderr)
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


def backup(arguments: argparse.Namespace) -> int:
    from pnl_backend import commands

    settings = config_text.load()
    directory = arguments.to or settings.backup_dir
    if directory is None:
        raise ConfigError(["BACKUP_DIR: given nothing, allowed: a directory (or say where with --to)"])
    # What lies where somebody pointed to is theirs; only the scheduled place is tidied up.
    return commands.backup(settings.database, directory, keep_days=None if arguments.to else settings.backup_keep_days)


def restore(arguments: argparse.Namespace) -> int:
    from pnl_backend import commands

    settings = config_text.load()
    return commands.restore(arguments.file, settings.database, origin="demo" if settings.demo_mode else "live")


def export(arguments: argparse.Namespace) -> int:
    from pnl_backend import commands

    settings = config_text.load()
    end = int(time.time() * 1000) if arguments.end is None else commands.instant(arguments.end)
    start = 0 if arguments.start is None else commands.instant(arguments.start)
    return _run(
        commands.export(
            settings.database,
            arguments.out,
            start=start,
            end=end,
            resolution=arguments.resolution,
            form=arguments.format,
            timezone=settings.business_timezone,
        )
    )


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
    _ledger_commands(commands)
    played = commands.add_parser("simulate", help="play the three upstreams on loopback ports")
    played.add_argument("--port-base", type=int, default=5000, help="first of four ports (5000)")
    played.add_argument("--seed", type=int, default=1, help="seed of the simulator's moves (1)")
    played.set_defaults(run=simulate)
    shown = commands.add_parser("settings", help="print the effective settings, secrets masked")
    shown.add_argument("--example", action="store_true", help="print the text of .env.example instead")
    shown.set_defaults(run=settings_command)
    return parser


def _ledger_commands(commands: Any) -> None:
    """Each is safe while the server runs, but for `restore`, which refuses."""
    saved = commands.add_parser("backup", help="copy the ledger, also while the server runs, and verify the copy")
    saved.add_argument("--to", type=Path, metavar="DIR", help="where to; BACKUP_DIR without it")
    saved.set_defaults(run=backup)
    restored = commands.add_parser("restore", help="put a backup in the ledger's place; the server must be stopped")
    restored.add_argument("file", type=Path, metavar="FILE")
    restored.set_defaults(run=restore)
    written = commands.add_parser("export", help="write the rows of a range, also while the server runs")
    written.add_argument("--from", dest="start", metavar="TIME", help="ISO 8601 or ms; the beginning without it")
    written.add_argument("--to", dest="end", metavar="TIME", help="ISO 8601 or ms; now without it")
    written.add_argument(
        "--resolution", choices=("raw", "1m", "5m", "1h", "1d"), default="1m", help="what a row covers (1m)"
    )
    written.add_argument("--format", choices=("csv", "json"), default="csv", help="the file's form (csv)")
    written.add_argument("--out", type=Path, metavar="FILE", help="where to; stdout without it")
    written.set_defaults(run=export)
