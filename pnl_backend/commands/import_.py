"""`pnl-backend import`: imports files of the Node server: its settings, its database, or a JSON export."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pnl_backend.assembly.ledger_start import location_of
from pnl_backend.commands import import_settings
from pnl_backend.commands.common import Progress, Subparsers, load_settings, report_line
from pnl_backend.ledger.importing.run import import_rows, kind_of


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("import", help="take over what the Node server left; the server must be stopped")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a .env, an SQLite file, or a JSON export of the history"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Import the file and report line by line what was taken and what was not."""
    file = arguments.file
    kind = kind_of(file)
    if kind == "settings":  # the current settings are not read first: they may be wrong or missing
        import_settings.import_settings(file, Path(".env"), on_line=report_line)
        return 0
    settings = load_settings(arguments)
    import_rows(
        file,
        kind,
        location_of(settings, settings.db_path),
        timezone=settings.business_timezone,
        now=time.time(),
        progress=Progress(),
        on_line=report_line,
    )
    if settings.demo_mode:
        report_line("these settings make the demo, which keeps a ledger of its own and shows nothing of it")
    return 0
