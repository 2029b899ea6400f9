"""What several commands need: the settings, the event loop, progress on stderr."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeAlias

from pnl_backend.assembly.ledger_start import location_of
from pnl_backend.errors import StoreError
from pnl_backend.ops.logging import learn_secrets
from pnl_backend.settings import text as config_text
from pnl_backend.settings.model import Settings
from pnl_backend.wire.refusals import BadRequest

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

REPORT_EVERY = 1.0
"""Seconds between two lines of progress."""


def load_settings(arguments: argparse.Namespace) -> Settings:
    """The settings; `--port` and `--host` override them. Raises ConfigError."""
    given = {name: getattr(arguments, name, None) for name in ("port", "host")}
    settings = config_text.load(**{name: value for name, value in given.items() if value is not None})
    learn_secrets(settings.secrets)
    return settings


def refuse_postgresql(settings: Settings) -> None:
    """StoreError if the ledger is in PostgreSQL, whose backups are its own."""
    if settings.database_url is not None:
        where = location_of(settings)
        raise StoreError(f"{where} is a PostgreSQL database: back up and restore it by its own tools (docs/ledger.md)")


def run_async(main: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine in uvloop where that is installed."""
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return asyncio.run(main)
    return uvloop.run(main)


def report_line(line: str) -> None:
    """Print a line of a report at once, so that lines on stderr that follow it also appear after it."""
    print(line, flush=True)


def instant(text: str) -> int:
    """The time in ms of a text: ms since the epoch, or ISO 8601; a date without a time means 00:00 UTC."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            f"{text!r} is neither ms since the epoch nor a date as 2026-02-25 or 2026-02-25T12:00Z"
        ) from None
    return int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp() * 1000)


class Progress:
    """Lines on stderr about work that takes longer than a second, at most one a second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + REPORT_EVERY

    def __call__(self, what: str, done: int, of: int) -> None:
        self.report(f"{what}: {100 * done // max(of, 1)} %")

    def report(self, line: str) -> None:
        if time.monotonic() >= self._next:
            print(line, file=sys.stderr, flush=True)
            self._next = time.monotonic() + REPORT_EVERY
