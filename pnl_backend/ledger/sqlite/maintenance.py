"""Keeping the ledger in shape: raw rows that grow old are let go, backups made, verified and put back.

Everything here is safe while the server runs, except `restore`, which needs the ledger to itself. A backup is one
SQLite file, complete in itself; `sqlite3` opens it as well as `restore` does.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loguru import logger

from pnl_backend.domain.times import DAY_MS, business_date, day_start
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import ledger_file
from pnl_backend.ledger.sqlite.database import Database
from pnl_backend.ledger.sqlite.migrations import Progress, migrate
from pnl_backend.ledger.sqlite.numbering import end_run, last_taken
from pnl_backend.ledger.sqlite.problems import describe
from pnl_backend.ledger.sqlite.rollups import Calendar

REPLAY_ROWS = 5000
"""The newest snapshots, which clients may still ask to be replayed: never let go, however old."""

PRUNE_BATCH = 500
COPY_PAGES = 2500
"""About 10 MB a step."""
CHECK_STEPS = 1_000_000
"""Instructions of SQLite's machine between two looks at whether to go on: some milliseconds."""

_PARTIAL_LIFE = 86_400
"""Seconds after which an unfinished backup is one that was killed."""


async def prune(database: Database, calendar: Calendar, *, keep_days: int, now: int, replay_rows: int) -> int:
    """Let go of raw snapshots older than `keep_days` whole business days; how many went.

    Rollups, facts, the first snapshot and the last one of every day stay: periods are measured against them. What was
    imported stays too: it would be taken a second time by a second import. The space is used again by what comes next.
    Batches are short, so that appends go on in between.
    """
    oldest = day_start(business_date(now, calendar.zone) - timedelta(days=keep_days), calendar.zone)
    gone = 0
    while True:
        batch = await database.write(lambda connection: _prune_batch(connection, oldest, replay_rows))
        gone += batch
        if batch < PRUNE_BATCH:
            return gone


def _prune_batch(connection: sqlite3.Connection, oldest: int, replay_rows: int) -> int:
    rows = connection.execute(
        "SELECT seq FROM snapshots WHERE at < ? AND seq > 0"
        " AND seq <= (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT 1 OFFSET ?)"
        " AND seq <> (SELECT min(seq) FROM snapshots WHERE seq > 0)"
        " AND seq NOT IN (SELECT last_seq FROM rollups WHERE span = ?) ORDER BY at LIMIT ?",
        (oldest, replay_rows, DAY_MS, PRUNE_BATCH),
    ).fetchall()
    connection.executemany("DELETE FROM payloads WHERE seq = ?", rows)
    connection.executemany("DELETE FROM snapshots WHERE seq = ?", rows)
    return len(rows)


async def backup_beside(path: Path, directory: Path, *, keep_days: int, now: float, progress: Progress) -> Path:
    """`backup` on a thread beside the loop; a cancelled one is given up at its next step and leaves nothing behind."""
    given_up = threading.Event()

    def step(what: str, done: int, of: int) -> None:
        if given_up.is_set():
            raise StoreError("the backup was given up")
        progress(what, done, of)

    try:
        return await asyncio.to_thread(backup, path, directory, keep_days=keep_days, now=now, progress=step)
    finally:
        given_up.set()


def backup(path: Path, directory: Path, *, keep_days: int, now: float, progress: Progress) -> Path:
    """Copy the ledger as it is at one instant to `directory`, verify the copy, drop the ones past `keep_days`.

    Reads only, so the server may be running. Answers the new file's path; StoreError says why there is none.
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
    """Make the directory for its owner alone; one that exists is closed to others if nothing but backups lies in it."""
    try:
        directory.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        mode = directory.stat().st_mode
        held = {file for file in directory.iterdir() if not file.name.startswith(".")}
        ours = {*backups(path, directory), *backups(path, directory, ".partial")}
        if mode & 0o077 and not mode & stat.S_ISVTX and held <= ours:
            with suppress(PermissionError):  # a volume that belongs to somebody else
                directory.chmod(0o700)


def backups(path: Path, directory: Path, suffix: str = ".db") -> list[Path]:
    """The backups of this ledger, oldest first; those of another one may lie in the same directory."""
    found = directory.glob(f"{path.stem}-*{suffix}") if directory.is_dir() else ()
    own = (file for file in found if file.stem.rpartition("-")[0] == path.stem and _stamp(file) is not None)
    return sorted(own, key=taken_at)


def taken_at(file: Path) -> float:
    """When a backup was made, in seconds since the epoch."""
    stamp = _stamp(file)
    if stamp is None:
        raise StoreError(f"{file} is not named as a backup is")
    return stamp.timestamp()


def verify(file: Path, progress: Progress) -> int:
    """Open a ledger file and read all of it; its last sequence number. StoreError if it is not whole or not ours."""
    with _plainly(file), closing(sqlite3.connect(_read_only(file), uri=True)) as connection:
        ledger_file.refuse_foreign(connection, file)
        progress("Checking", 0, 1)
        connection.set_progress_handler(lambda: progress("Checking", 0, 1), CHECK_STEPS)  # what it raises interrupts
        findings = [text for (text,) in connection.execute("PRAGMA integrity_check")]
        if findings != ["ok"]:
            raise StoreError(f"{file} is damaged: {findings[0]}")
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            raise StoreError(f"{file} is empty")
        progress("Checking", 1, 1)
        (last,) = connection.execute("SELECT max(coalesce(max(seq), 0), 0) FROM snapshots").fetchone()
        return int(last)


def restore(
    file: Path, path: Path, *, now: float, progress: Progress, origin: ledger_file.Origin | None = None
) -> Path | None:
    """Put a backup in the ledger's place; where the ledger that was there is kept now, None if there was none.

    Refuses a file that is damaged, not ours, newer or of another origin than the one given, and a ledger that a server
    is using. Clients may have seen more than the backup holds, so the restored ledger begins a new epoch: sequence
    numbers never mean two things.
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
            epoch = max(last_taken(connection), *begun) + 1, ledger_file.new_epoch()
            connection.execute("INSERT OR REPLACE INTO epochs VALUES (?, ?)", epoch)
            end_run(connection)  # nothing was ever published under the new epoch
        with partial.open("rb") as copied:
            os.fsync(copied.fileno())
        if path.exists():
            with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # closing folds the log in
            path.rename(aside)
        for suffix in ("-wal", "-shm"):
            if (left := Path(f"{path}{suffix}")).exists():
                left.rename(f"{aside}{suffix}")
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    return aside if aside.exists() else None


def _refuse_other_origin(file: Path, origin: ledger_file.Origin) -> None:
    with closing(sqlite3.connect(_read_only(file), uri=True)) as connection:
        (held,) = connection.execute("SELECT value FROM meta WHERE key = 'origin'").fetchone() or (origin,)
    if held != origin:
        raise StoreError(f"{file} holds {held} figures, this server is {origin}")


def _copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy a database as it is at one instant, whatever is written meanwhile."""
    ledger_file.create(target)
    with closing(sqlite3.connect(_read_only(source), uri=True, isolation_level=None)) as reader:
        ledger_file.refuse_foreign(reader, source)
        reader.execute("BEGIN")  # one read transaction throughout: writers go on, and the copy need not start again
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
    """Errors of SQLite and of the system become StoreErrors in plain words."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise describe(error, path) from error


class ProgressLog:
    """Tells long work in the log, at most once in `every` seconds for each kind and always at its end."""

    def __init__(self, every: float = 5.0) -> None:
        self._every = every
        self._told: dict[str, float] = {}

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if done < of and now - self._told.setdefault(what, now) < self._every:
            return
        self._told[what] = now
        logger.info("{}: {} of {} ({} %)", what, done, of, 100 * done // max(of, 1))
