"""`pnl-backend ledger move`: copies the ledger from SQLite to PostgreSQL, or back."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from urllib.parse import urlsplit

from pnl_backend.assembly.ledger_start import location_of
from pnl_backend.commands.common import Progress, Subparsers, load_settings, report_line


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "move",
        help="copy the ledger to a PostgreSQL database or to a SQLite file, and verify the copy",
        description="Copy the ledger of the settings to another database, and compare counts and sums of every table."
        " After an interruption run it again. The ledger that is copied stays as it is.",
    )
    parser.add_argument("--to", required=True, metavar="URL_OR_PATH", help="postgresql://... or a file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy, report each table, and say which setting to change."""
    from pnl_backend.ledger.location import Location
    from pnl_backend.ledger.moving.run import move
    from pnl_backend.ops.logging import learn_secrets

    settings = load_settings(arguments)
    held = location_of(settings)
    is_url = urlsplit(arguments.to).scheme in ("postgresql", "postgres")
    if is_url:
        learn_secrets([arguments.to])
    to = Location(settings.database, arguments.to) if is_url else Location(Path(arguments.to))
    move(
        held,
        to,
        origin="demo" if settings.demo_mode else "live",
        timezone=settings.business_timezone,
        now=time.time(),
        progress=Progress(),
        on_line=report_line,
    )
    report_line("now set DATABASE_URL to it" if is_url else f"now set DB_PATH to {to} and remove DATABASE_URL")
    return 0
