"""The command line: assembles the parser from the commands, runs one, and turns its errors into exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from loguru import logger

from pnl_backend import __version__
from pnl_backend.commands import (
    backup,
    check,
    export,
    import_,
    ledger,
    new_source,
    restore,
    serve,
    settings,
    simulate,
    sources,
)
from pnl_backend.errors import ConfigError, PnLError
from pnl_backend.ops.logging import setup_logging

COMMANDS = (serve, check, backup, restore, import_, export, ledger, simulate, settings, sources, new_source)
"""The modules of all commands, in the order of `--help`."""

FILES = """\
files, all relative to the current folder:
  .env      settings, where the environment does not give them; see `pnl-backend settings --example`
  data/     the ledger and the cache (DB_PATH changes it); the demo has a ledger of its own
  logs/     combined.log and error.log (LOG_DIR changes it)
Without any setting the server runs the demo on http://127.0.0.1:3000 and makes both folders.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the process's exit code.

    2: the settings or the arguments are wrong. 1: the command failed; stderr has one line about it. 130: interrupted.
    """
    arguments = _parser().parse_args(argv)
    setup_logging(level="warning", directory=None, json_lines=False, secrets=())
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except ConfigError as error:
        print("These settings must be corrected first:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 2
    except PnLError as error:
        return _failed(f"{type(error).__name__}: {error}", error)
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        return _failed(str(error), error)
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pnl-backend",
        description="Real-time P&L streaming server.",
        epilog=FILES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    serve.add_arguments(parser)
    subparsers = parser.add_subparsers(title="commands")
    for command in COMMANDS:
        command.add(subparsers)
    return parser


def _failed(message: str, error: Exception) -> int:
    """Print the failure in one line; the traceback is logged with LOG_LEVEL=debug only."""
    logger.opt(exception=error).debug("the command failed")
    print(message.replace("\n", " "), file=sys.stderr)
    _drop_output()
    return 1


def _broken_pipe() -> int:
    """The exit code of a process that SIGPIPE ended: the reader of the output has closed it."""
    _drop_output()
    return 128 + signal.SIGPIPE


def _drop_output() -> None:
    """Discard output that could not be written, so that the interpreter does not fail on it again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
