"""What the commands about the ledger do: back up, restore, import, export. Progress is on stderr, results on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pnl_backend.errors import BadRequest, OutputError
from pnl_backend.ledger.importing import run as importing
from pnl_backend.ledger.importing.run import Kind
from pnl_backend.ledger.sqlite import maintenance
from pnl_backend.ledger.sqlite.history import Resolution
from pnl_backend.ledger.sqlite.ledger_file import Origin
from pnl_backend.ledger.sqlite.reading import history_of
from pnl_backend.wire.export import Format, Rows, encoded

TELL_EVERY = 1.0
FOR_EVER = 36_500


class Progress:
    """Lines on stderr about work that takes longer than a second, at most one a second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + TELL_EVERY

    def __call__(self, what: str, done: int, of: int) -> None:
        self.tell(f"{what}: {100 * done // max(of, 1)} %")

    def tell(self, line: str) -> None:
        if time.monotonic() >= self._next:
            print(line, file=sys.stderr, flush=True)
            self._next = time.monotonic() + TELL_EVERY


def backup(database: Path, directory: Path, *, keep_days: int | None) -> int:
    """One verified backup; with `keep_days` those that are older are removed."""
    keep = FOR_EVER if keep_days is None else keep_days
    print(maintenance.backup(database, directory, keep_days=keep, now=time.time(), progress=Progress()))
    return 0


def restore(file: Path, database: Path, *, origin: Origin) -> int:
    """A backup in the ledger's place."""
    aside = maintenance.restore(file, database, now=time.time(), progress=Progress(), origin=origin)
    print(f"{database} is the ledger of {file} now")
    if aside is not None:
        print(f"the ledger that was there is kept as {aside}")
    return 0


def tell(line: str) -> None:
    """A line of a report, before whatever is said on stderr after it."""
    print(line, flush=True)


def import_rows(file: Path, kind: Kind, database: Path, *, timezone: str) -> int:
    """The rows of an older server's file into the live ledger, and a report of them."""
    now, progress = time.time(), Progress()
    importing.import_rows(file, kind, database, timezone=timezone, now=now, progress=progress, tell=tell)
    return 0


async def export(
    database: Path, out: Path | None, *, start: int, end: int, resolution: Resolution, form: Format, timezone: str
) -> int:
    """The rows of a range to a file, or to stdout."""
    async with history_of(database, timezone=timezone) as history:
        pieces = encoded(_counted(history.chunks(start, end, resolution)), form)
        if out is None:
            with suppress(BrokenPipeError):  # whoever read it has seen enough
                await _write(pieces, sys.stdout.buffer)
            return 0
        try:
            await _write_whole(pieces, out)
        except OSError as error:
            raise OutputError(f"cannot write {out}: {(error.strerror or str(error)).lower()}") from error
    print(out)
    return 0


async def _write_whole(pieces: AsyncIterator[bytes], out: Path) -> None:
    """The file is there only when all of it is; what is left of an attempt is removed."""
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("wb") as file:
            await _write(pieces, file)
        partial.replace(out)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


async def _write(pieces: AsyncIterator[bytes], to: BinaryIO) -> None:
    async for piece in pieces:
        to.write(piece)
    to.flush()


async def _counted(batches: AsyncIterator[Rows]) -> AsyncIterator[Rows]:
    progress, rows = Progress(), 0
    async for batch in batches:
        rows += len(batch)
        progress.tell(f"Exporting: {rows:,} rows")
        yield batch


def instant(text: str) -> int:
    """Ms since the epoch, or a date or time in ISO 8601; a date without a time means 00:00 UTC."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            f"{text!r} is neither ms since the epoch nor a date as 2026-02-25 or 2026-02-25T12:00Z"
        ) from None
    return int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp() * 1000)
