"""`pnl-backend check`: prints the effective settings, then tries every part and reports what is wrong."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pnl_backend.commands.common import Subparsers, load_settings, run_async
from pnl_backend.settings.model import Settings
from pnl_backend.settings.text import describe, mask_urls

if TYPE_CHECKING:
    from pnl_backend.commands.check_parts import Status

_SUMMARY = {
    "ok": "The server can do its job.",
    "warning": "The server can start; what is marked with a warning does not work now.",
    "problem": "The server could not do its job.",
}


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("check", help="try every part and report what is wrong")
    parser.add_argument("--strict", action="store_true", help="fail on outages too, not only on wrong settings")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """1 for a problem, with `--strict` for a warning too, else 0."""
    return run_async(_report(load_settings(arguments), strict=arguments.strict))


async def _report(settings: Settings, *, strict: bool) -> int:
    from pnl_backend.commands.check_parts import check_parts

    print("Settings")
    for name, value in describe(settings):
        print(f"  {name:<36}{value}")
    print("\nParts")
    worst: Status = "ok"
    async for finding in check_parts(settings):
        if finding.status == "problem" or (finding.status == "warning" and worst == "ok"):
            worst = finding.status
        print(f"  {finding.status:<9}{finding.part:<15}{mask_urls(finding.detail)}", flush=True)
    print(f"\n{_SUMMARY[worst]}")
    return int(worst == "problem" or (strict and worst == "warning"))
