"""`pnl-backend sources`: lists the source types, with the facts that the ledger books of each and its settings."""

from __future__ import annotations

import argparse

from pnl_backend.commands.common import Subparsers
from pnl_backend.settings.text import names
from pnl_backend.sources.registry import AnyType, types


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("sources", help="list the source types with their settings")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    del arguments
    for declared in types():
        _print(declared)
    return 0


def _print(declared: AnyType) -> None:
    print(f"{declared.name}: {declared.label}")
    if declared.facts:
        print(f"  books {', '.join(f'{kind}s' for kind in sorted(declared.facts))}")
    for field, info in declared.settings.model_fields.items():
        turns_on = " (turns it on)" if field in declared.configured_by else ""
        print(f"  {names(field)[0]:<28}{info.description}{turns_on}")
