"""`pnl-backend settings`: prints the effective settings, or the text of `.env.example`."""

from __future__ import annotations

import argparse

from pnl_backend.commands.common import Subparsers, load_settings
from pnl_backend.settings import text as config_text


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("settings", help="print the effective settings, secrets masked")
    parser.add_argument("--example", action="store_true", help="print the text of .env.example instead")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.example:
        print(config_text.example(), end="")
        return 0
    for name, value in config_text.describe(load_settings(arguments)):
        print(f"{name:<36}{value}")
    return 0
