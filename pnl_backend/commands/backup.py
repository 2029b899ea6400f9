"""`pnl-backend backup`: a verified copy of the ledger."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pnl_backend.commands.common import Progress, Subparsers, load_settings, refuse_postgresql
from pnl_backend.errors import ConfigError
from pnl_backend.ledger.sqlite import maintenance

KEEP_ALL = 36_500
"""Days: no backup is older."""


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("backup", help="copy the ledger, also while the server runs, and verify the copy")
    parser.add_argument("--to", type=Path, metavar="DIR", help="where to; BACKUP_DIR without it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the path of the backup. Older backups are removed in BACKUP_DIR only, never in the directory of `--to`."""
    settings = load_settings(arguments)
    refuse_postgresql(settings)
    directory = arguments.to or settings.backup_dir
    if directory is None:
        raise ConfigError(["BACKUP_DIR: given nothing, allowed: a directory (or name one with --to)"])
    keep_days = KEEP_ALL if arguments.to else settings.backup_keep_days
    progress = Progress()
    print(maintenance.backup(settings.database, directory, keep_days=keep_days, now=time.time(), progress=progress))
    return 0
