"""The command line: serve (the default), check, backup, restore, import, export, settings, simulate."""

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

from pnl_backend import __version__
from pnl_backend.errors import ConfigError, PnLError
from pnl_backend.ops.logging import learn_secrets, setup_logging
from pnl_backend.ops.suspended import suspended_tasks
from pnl_backend.settings import text as config_text
from pnl_backend.settings.model import Settings

STOP_WITHIN = 10.0
"""Seconds from the first signal to exit; what is not closed by then is left."""

LAST_PORT_BASE = 65_532
"""The simulator listens on this port and the three after it."""

FILES = """\
files, all relative to the current folder:
  .env      settings, where the environment does not give them; see `pnl-backend settings --example`
  data/     the ledger and the cache (DB_PATH changes it); the demo has a ledger of its own
  logs/     combined.log and error.log (LOG_DIR changes it)
Without any setting the server runs the demo on http://127.0.0.1:3000 and makes both folders.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; answers the process's exit code.

    2: the settings or the arguments are wrong. 1: it could not be done, said in one line. 130: interrupted.
    """
    arguments = _parser().parse_args(argv)
    setup_logging(level="warning", directory=None, json_lines=False, secrets=())
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except ConfigError as error:
        print("These settings must be mended first:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 2
    except PnLError as error:
        return _failed(f"{type(error).__name__}: {error}", error)
    except BrokenPipeError:
        return _unread()
    except OSError as error:
        return _failed(str(error), error)
    except KeyboardInterrupt:
        return 130
    return code


def _failed(words: str, error: Exception) -> int:
    """Say in one line what failed; where it failed is for LOG_LEVEL=debug alone."""
    logger.opt(exception=error).debug("the command failed")
    print(words.replace("\n", " "), file=sys.stderr)
    _drop_output()
    return 1


def _unread() -> int:
    """Whoever read the output has seen enough; the exit code is the one of a process that SIGPIPE ended."""
    _drop_output()
    return 128 + signal.SIGPIPE


def _drop_output() -> None:
    """What could not be written must not fail once more, with a traceback, when the interpreter ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _load(arguments: argparse.Namespace) -> Settings:
    """The settings; what the command line says of them goes first."""
    given = {name: getattr(arguments, name, None) for name in ("port", "host")}
    settings = config_text.load(**{name: value for name, value in given.items() if value is not None})
    learn_secrets(settings.secrets)
    return settings


def serve(arguments: argparse.Namespace) -> int:
    settings = _load(arguments)
    with suppress(OSError):  # the ledger says what is wrong with its directory, and the service starts all the same
        settings.database.parent.mkdir(parents=True, exist_ok=True)
    _set_up_logging(settings)
    for line in config_text.notices(settings):
        logger.warning(line)
    return _run(_serve(settings, lambda: _load(arguments)))


def _set_up_logging(settings: Settings) -> None:
    setup_logging(
        level=settings.log_level,
        directory=settings.log_dir,
        json_lines=settings.log_json,
        secrets=settings.secrets,
    )


async def _serve(settings: Settings, load: Callable[[], Settings]) -> int:
    from pnl_backend.app import running

    stop = asyncio.Event()
    _on_signals(stop)
    async with running(settings) as server:
        _on_reload(server.replace_keys, load)
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
        loop.call_later(STOP_WITHIN - 0.5, _give_up_stopping)

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, received)


def _give_up_stopping() -> None:
    """End the process, and say in the log what it was waiting for."""
    waiting = "; ".join(suspended_tasks())
    logger.error("stopping has taken {:g} s, the process ends now; it was waiting in: {}", STOP_WITHIN - 0.5, waiting)
    os._exit(1)


def _on_reload(replace_keys: Callable[[Settings], None], load: Callable[[], Settings]) -> None:
    """SIGHUP reads `.env` again for its keys: new ones open at once, what a removed one opened is closed."""

    def reload() -> None:
        try:
            fresh = load()
        except ConfigError as error:
            logger.error("the keys stay as they are, the settings have a problem: {}", "; ".join(error.problems))
            return
        replace_keys(fresh)

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


def check(arguments: argparse.Namespace) -> int:
    from pnl_backend.commands.check import report

    return _run(report(_load(arguments), strict=arguments.strict))


def backup(arguments: argparse.Namespace) -> int:
    from pnl_backend.commands import ledger as commands

    settings = _load(arguments)
    directory = arguments.to or settings.backup_dir
    if directory is None:
        raise ConfigError(["BACKUP_DIR: given nothing, allowed: a directory (or say where with --to)"])
    # What lies where somebody pointed to is theirs; only the scheduled place is tidied up.
    return commands.backup(settings.database, directory, keep_days=None if arguments.to else settings.backup_keep_days)


def restore(arguments: argparse.Namespace) -> int:
    from pnl_backend.commands import ledger as commands

    settings = _load(arguments)
    return commands.restore(arguments.file, settings.database, origin="demo" if settings.demo_mode else "live")


def import_command(arguments: argparse.Namespace) -> int:
    from pnl_backend.commands import ledger as commands
    from pnl_backend.commands import settings_file
    from pnl_backend.ledger.importing.run import kind_of

    kind = kind_of(arguments.file)
    if kind == "settings":  # read before any setting is: the ones in force may be wrong or none
        return settings_file.import_settings(arguments.file, Path(".env"), tell=commands.tell)
    settings = _load(arguments)
    code = commands.import_rows(arguments.file, kind, settings.db_path, timezone=settings.business_timezone)
    if settings.demo_mode:
        commands.tell("these settings make the demo, which keeps a ledger of its own and shows nothing of it")
    return code


def export(arguments: argparse.Namespace) -> int:
    from pnl_backend.commands import ledger as commands

    settings = _load(arguments)
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
        asyncio.run(run_forever(port_base=arguments.port_base or None, seed=arguments.seed))
    return 0


def settings_command(arguments: argparse.Namespace) -> int:
    if arguments.example:
        print(config_text.example(), end="")
        return 0
    for name, value in config_text.describe(_load(arguments)):
        print(f"{name:<36}{value}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pnl-backend",
        description="Real-time P&L streaming server.",
        epilog=FILES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(run=serve)
    _listen_options(parser)
    commands = parser.add_subparsers(title="commands")
    served = commands.add_parser("serve", help="run the server (the default)")
    served.set_defaults(run=serve)
    _listen_options(served)
    checked = commands.add_parser("check", help="try every part and say in plain words what is wrong")
    checked.add_argument("--strict", action="store_true", help="fail on outages too, not only on wrong settings")
    checked.set_defaults(run=check)
    _ledger_commands(commands)
    played = commands.add_parser("simulate", help="play the three upstreams on loopback ports")
    played.add_argument(
        "--port-base", type=_port_base, default=5000, metavar="PORT", help="first of four ports (5000); 0: free ones"
    )
    played.add_argument("--seed", type=int, default=1, help="seed of the simulator's moves (1)")
    played.set_defaults(run=simulate)
    shown = commands.add_parser("settings", help="print the effective settings, secrets masked")
    shown.add_argument("--example", action="store_true", help="print the text of .env.example instead")
    shown.set_defaults(run=settings_command)
    return parser


def _listen_options(parser: argparse.ArgumentParser) -> None:
    """Left out, neither is set at all: a command's own default would hide what was given before the command."""
    left_out = argparse.SUPPRESS
    parser.add_argument("--port", type=int, default=left_out, help="port to listen on, before the setting PORT")
    parser.add_argument("--host", default=left_out, help="address to listen on, before the setting HOST")


def _port_base(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= LAST_PORT_BASE:
        return int(text)
    raise argparse.ArgumentTypeError(f"given {text!r}, allowed: 0 to {LAST_PORT_BASE}")


def _ledger_commands(commands: Any) -> None:
    """Each is safe while the server runs, but for `restore` and `import`, which refuse."""
    saved = commands.add_parser("backup", help="copy the ledger, also while the server runs, and verify the copy")
    saved.add_argument("--to", type=Path, metavar="DIR", help="where to; BACKUP_DIR without it")
    saved.set_defaults(run=backup)
    restored = commands.add_parser("restore", help="put a backup in the ledger's place; the server must be stopped")
    restored.add_argument("file", type=Path, metavar="FILE")
    restored.set_defaults(run=restore)
    taken = commands.add_parser("import", help="take over what the Node server left; the server must be stopped")
    taken.add_argument(
        "file", type=Path, metavar="FILE", help="a .env, an SQLite file, or a JSON export of the history"
    )
    taken.set_defaults(run=import_command)
    written = commands.add_parser("export", help="write the rows of a range, also while the server runs")
    written.add_argument("--from", dest="start", metavar="TIME", help="ISO 8601 or ms; the beginning without it")
    written.add_argument("--to", dest="end", metavar="TIME", help="ISO 8601 or ms; now without it")
    written.add_argument(
        "--resolution",
        choices=("raw", "1m", "5m", "15m", "1h", "4h", "1d", "1w"),
        default="1m",
        help="what a row covers (1m)",
    )
    written.add_argument("--format", choices=("csv", "json"), default="csv", help="the file's form (csv)")
    written.add_argument("--out", type=Path, metavar="FILE", help="where to; stdout without it")
    written.set_defaults(run=export)
