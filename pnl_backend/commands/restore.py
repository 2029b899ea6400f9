"""`pnl-backend restore`: replaces the ledger by a backup."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pnl_backend.commands.common import Progress, Subparsers, load_settings, refuse_postgresql
from pnl_backend.ledger.sql.identity import Origin
from pnl_backend.ledger.sqlite import maintenance


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("restore", help="replace the ledger by a backup; the server must be stopped")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replace the ledger; the former one is kept beside it. StoreError while a server uses it."""
    settings = load_settings(arguments)
    refuse_postgresql(settings)
    file, database = arguments.file, settings.database
    origin: Origin = "demo" if settings.demo_mode else "live"
    aside = maintenance.restore(file, database, now=time.time(), progress=Progress(), origin=origin)
    print(f"{database} is the ledger of {file} now")
    if aside is not None:
        print(f"the ledger that was there is kept as {aside}")
    return 0
