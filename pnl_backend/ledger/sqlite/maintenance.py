"""Maintenance of the ledger: backups are made, verified and restored.

Everything here is safe while the server runs, except `restore`, which locks the ledger. A backup is one complete
SQLite file, which `sqlite3` can open too.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.connection import Progress
from pnl_backend.ledger.sql.identity import PUT_EPOCH, Origin, new_epoch
from pnl_backend.ledger.sql.numbering import end_run, last_taken
from pnl_backend.ledger.sqlite import ledger_file
from pnl_backend.ledger.sqlite.migrations import migrate
from pnl_backend.ledger.sqlite.problems import describe

COPY_PAGES = 2500
"""Pages in one step of a copy, about 10 MB."""
CHECK_STEPS = 1_000_000
"""SQLite instructions between two calls of `progress`: some milliseconds."""

_PARTIAL_LIFE = 86_400
"""Seconds after which an unfinished backup counts as abandoned."""


async def backup_beside(path: Path, directory: Path, *, keep_days: int, now: float, progress: Progress) -> Path:
    """`backup` on a thread; a cancelled one stops at its next step and removes its file."""
    given_up = threading.Event()

    def step(what: str, done: int, of: int) -> None:
        if given_up.is_set():
            raise StoreError("the backup was cancelled")
        progress(what, done, of)

    try:
        return await asyncio.to_thread(backup, path, directory, keep_days=keep_days, now=now, progress=step)
    finally:
        given_up.set()


def backup(path: Path, directory: Path, *, keep_days: int, now: float, progress: Progress) -> Path:
    """Copy one state of the ledger to `directory`, verify the copy, delete backups older than `keep_days`.

    The ledger is only read, so the server may be running. Returns the new file's path; raises StoreError.
    """
    target = directory / f"{path.stem}-{datetime.fromtimestamp(now, UTC):{ledger_file.STAMP}}.db"
    partial = target.with_suffix(".partial")
    with _plainly(path):
        if not path.exists():
            raise StoreError(f"there is no ledger at {path}")
        with _plainly(directory):
            _make_private(path, directory)
            partial.unlink(missing_ok=True)
        try:
            _copy(path, partial, progress)
            verify(partial, progress)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    past = [old for old in backups(path, directory) if taken_at(old) < now - keep_days * 86_400]
    killed = [left for left in backups(path, directory, ".partial") if taken_at(left) < now - _PARTIAL_LIFE]
    for old in (*past, *killed):
        if old != target:
            old.unlink(missing_ok=True)
    return target


def _make_private(path: Path, directory: Path) -> None:
    """Create the directory with mode 0700; an existing one gets that mode if it holds nothing but backups."""
    try:
        directory.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        mode = directory.stat().st_mode
        held = {file for file in directory.iterdir() if not file.name.startswith(".")}
        ours = {*backups(path, directory), *backups(path, directory, ".partial")}
        if mode & 0o077 and not mode & stat.S_ISVTX and held <= ours:
            with suppress(PermissionError):  # the directory may belong to another user
                directory.chmod(0o700)


def backups(path: Path, directory: Path, suffix: str = ".db") -> list[Path]:
    """The backups of this ledger, oldest first; backups of other ledgers may be in the same directory."""
    found = directory.glob(f"{path.stem}-*{suffix}") if directory.is_dir() else ()
    own = (file for file in found if file.stem.rpartition("-")[0] == path.stem and _stamp(file) is not None)
    return sorted(own, key=taken_at)


def taken_at(file: Path) -> float:
    """When a backup was made, in seconds since the epoch."""
    stamp = _stamp(file)
    if stamp is None:
        raise StoreError(f"{file} has no backup's name")
    return stamp.timestamp()


def verify(file: Path, progress: Progress) -> int:
    """Read all of a ledger file; its last sequence number. StoreError if it is damaged or not ours."""
    with _plainly(file), closing(sqlite3.connect(_read_only(file), uri=True)) as connection:
        ledger_file.refuse_foreign(connection, file)
        progress("Checking", 0, 1)
        connection.set_progress_handler(
            lambda: progress("Checking", 0, 1), CHECK_STEPS
        )  # an exception in it interrupts the query
        findings = [text for (text,) in connection.execute("PRAGMA integrity_check")]
        if findings != ["ok"]:
            raise StoreError(f"{file} is damaged: {findings[0]}")
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            raise StoreError(f"{file} is empty")
        progress("Checking", 1, 1)
        (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM snapshots WHERE seq > 0").fetchone()
        return int(last)


def restore(file: Path, path: Path, *, now: float, progress: Progress, origin: Origin | None = None) -> Path | None:
    """Replace the ledger by a backup; returns where the former ledger is kept, None if there was none.

    StoreError if the file is damaged, not ours, newer or not of `origin`, or if a server uses the ledger. Clients may
    have seen snapshots that are not in the backup, so the restored ledger begins a new epoch: no sequence number is
    used twice in one epoch.
    """
    with _plainly(file):
        if not file.exists():
            raise StoreError(f"there is no backup at {file}")
        verify(file, progress)
        if origin is not None:
            _refuse_other_origin(file, origin)
        lock = ledger_file.hold(path)
        try:
            return _restore(file, path, now, progress)
        finally:
            os.close(lock)


def _restore(file: Path, path: Path, now: float, progress: Progress) -> Path | None:
    partial = path.with_name(path.name + ".restoring")
    aside = ledger_file.dated(path, "replaced", now)
    partial.unlink(missing_ok=True)
    try:
        _copy(file, partial, progress)
        with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
            migrate(connection, progress)
            begun = connection.execute("SELECT max(first_seq) - 1 FROM epochs").fetchone()
            epoch = max(last_taken(connection), *begun) + 1, new_epoch()
            connection.execute(PUT_EPOCH, epoch)
            end_run(connection)  # nothing was ever published under the new epoch
        with partial.open("rb") as copied:
            os.fsync(copied.fileno())
        if path.exists():
            with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # closing then checkpoints the log
            path.rename(aside)
        for suffix in ("-wal", "-shm"):
            if (left := Path(f"{path}{suffix}")).exists():
                left.rename(f"{aside}{suffix}")
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    return aside if aside.exists() else None


def _refuse_other_origin(file: Path, origin: Origin) -> None:
    with closing(sqlite3.connect(_read_only(file), uri=True)) as connection:
        (held,) = connection.execute("SELECT value FROM meta WHERE key = 'origin'").fetchone() or (origin,)
    if held != origin:
        raise StoreError(f"{file} holds {held} figures, this server is {origin}")


def _copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy one state of a database, whatever is written meanwhile."""
    ledger_file.create(target)
    with closing(sqlite3.connect(_read_only(source), uri=True, isolation_level=None)) as reader:
        ledger_file.refuse_foreign(reader, source)
        reader.execute("BEGIN")  # one read transaction: the copy does not restart after a write
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            reader.backup(
                copy, pages=COPY_PAGES, progress=lambda _status, left, of: progress("Copying", of - left, of), sleep=0
            )
            copy.execute("PRAGMA journal_mode = DELETE")
    with target.open("rb") as copied:
        os.fsync(copied.fileno())


def _read_only(file: Path) -> str:
    return f"{file.absolute().as_uri()}?mode=ro"


def _stamp(file: Path) -> datetime | None:
    try:
        return datetime.strptime(file.stem.rpartition("-")[2], ledger_file.STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


@contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the system as StoreErrors."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise describe(error, path) from error
