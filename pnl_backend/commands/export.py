"""`pnl-backend export`: writes the rows of a range, also while the server runs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, get_args

from pnl_backend.assembly.ledger_start import location_of
from pnl_backend.commands.common import Progress, Subparsers, instant, load_settings, run_async
from pnl_backend.errors import OutputError
from pnl_backend.settings.model import Settings
from pnl_backend.wire.history import Format, Resolution, Rows, encoded


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("export", help="write the rows of a range, also while the server runs")
    parser.add_argument("--from", dest="start", metavar="TIME", help="ISO 8601 or ms; the beginning without it")
    parser.add_argument("--to", dest="end", metavar="TIME", help="ISO 8601 or ms; now without it")
    parser.add_argument("--resolution", choices=get_args(Resolution), default="1m", help="what a row covers (1m)")
    parser.add_argument("--format", choices=get_args(Format), default="csv", help="the file's form (csv)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to; stdout without it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments)
    end = int(time.time() * 1000) if arguments.end is None else instant(arguments.end)
    start = 0 if arguments.start is None else instant(arguments.start)
    return run_async(_export(settings, arguments, start, end))


async def _export(settings: Settings, arguments: argparse.Namespace, start: int, end: int) -> int:
    out: Path | None = arguments.out
    async with location_of(settings).history(timezone=settings.business_timezone) as history:
        chunks = encoded(_counted(history.chunks(start, end, arguments.resolution)), arguments.format)
        if out is None:
            with suppress(BrokenPipeError):  # the reader of the output has closed it
                await _write(chunks, sys.stdout.buffer)
            return 0
        try:
            await _write_whole(chunks, out)
        except OSError as error:
            raise OutputError(f"cannot write {out}: {(error.strerror or str(error)).lower()}") from error
    print(out)
    return 0


async def _write_whole(chunks: AsyncIterator[bytes], out: Path) -> None:
    """Write beside the target and rename, so that the target is never incomplete; a failed attempt is removed."""
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("wb") as file:
            await _write(chunks, file)
        partial.replace(out)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


async def _write(chunks: AsyncIterator[bytes], to: BinaryIO) -> None:
    async for chunk in chunks:
        to.write(chunk)
    to.flush()


async def _counted(batches: AsyncIterator[Rows]) -> AsyncIterator[Rows]:
    progress, rows = Progress(), 0
    async for batch in batches:
        rows += len(batch)
        progress.report(f"Exporting: {rows:,} rows")
        yield batch
