"""Damage: a time-limited check at the start finds it, and a damaged ledger is renamed so that the server can start."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from loguru import logger

from pnl_backend.ledger.sql.connection import Connection
from pnl_backend.ledger.sql.numbering import put_meta
from pnl_backend.ledger.sqlite import ledger_file

CHECK_SECONDS = 3.0
"""Seconds that a start waits for the check, enough for some hundred MB."""

Result = Literal["ok", "unfinished"]
_NOTE = "damaged"
_STEPS = 5_000
"""SQLite instructions between two readings of the clock: some tens of microseconds."""


class Damaged(Exception):
    """The check found damage; the message is SQLite's."""


def quick_check(path: Path, *, seconds: float | None, stop: threading.Event | None = None) -> Result:
    """Check the structure of a ledger; raises Damaged. `unfinished` says that the time was up.

    Other failures to read the file are ignored here: opening it will raise them.
    """
    ends = None if seconds is None else time.monotonic() + seconds

    def is_over() -> bool:
        return (ends is not None and time.monotonic() >= ends) or (stop is not None and stop.is_set())

    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.set_progress_handler(is_over, _STEPS)
            _look_for_note(connection)
            findings = [str(text) for (text,) in connection.execute("PRAGMA quick_check(1)")]
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return "unfinished"
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise Damaged(str(error)) from error
        return "ok"
    if findings != ["ok"]:
        raise Damaged(findings[0])
    return "ok"


def quarantine(path: Path, *, now: float) -> Path:
    """Rename a damaged ledger, its log and its index to a dated name, which is returned; the content is not changed."""
    aside = ledger_file.dated(path, "damaged", now)
    for suffix in ("-wal", "-shm", ""):
        if (part := Path(f"{path}{suffix}")).exists():
            part.rename(f"{aside}{suffix}")
    return aside


def first_run_of(path: Path) -> date | None:
    """The day on which a damaged ledger was begun, if that can still be read."""
    with suppress(sqlite3.Error, TypeError, ValueError):
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (day,) = connection.execute("SELECT value FROM meta WHERE key = 'first_run'").fetchone()
        return date.fromisoformat(day)
    return None


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of the check at a start: whether it was completed, and where a damaged ledger is now."""

    unfinished: bool = False
    problem: str | None = None
    first_run: date | None = None


def inspect(path: Path, *, backups: Sequence[Path], now: float) -> Inspection:
    """Check the ledger before it is opened; a damaged one is renamed, so that a new one can be created in its place.

    The log names the newest undamaged file of `backups`. StoreError if a server uses the ledger.
    """
    if not _is_ours(path):
        return Inspection()
    try:
        lock = ledger_file.hold(path)
    except OSError:
        return Inspection()  # opening the ledger raises what is wrong with its directory
    try:
        return Inspection(unfinished=quick_check(path, seconds=CHECK_SECONDS) == "unfinished")
    except Damaged as finding:
        return _put_aside(path, finding, backups, now)
    finally:
        os.close(lock)


def _put_aside(path: Path, finding: Damaged, backups: Sequence[Path], now: float) -> Inspection:
    first_run = first_run_of(path)
    try:
        aside = quarantine(path, now=now)
    except OSError as error:
        logger.error("{} is damaged ({}) and cannot be moved away: {}", path, finding, error)
        return Inspection()
    good = last_good(backups)
    advice = f"stop the server and run `pnl-backend restore {good}`" if good else "there is no undamaged backup"
    problem = f"{path} is damaged ({finding}) and is kept as {aside}; a new epoch begins in an empty ledger: {advice}"
    logger.error("{}", problem)
    return Inspection(problem=problem, first_run=first_run)


def last_good(backups: Sequence[Path]) -> Path | None:
    """The newest of these files (oldest first) in which a time-limited check finds no damage."""
    for file in reversed(backups):
        with suppress(Damaged):
            quick_check(file, seconds=CHECK_SECONDS)
            return file
    return None


def note(connection: Connection, problem: str) -> None:
    """Have the next start rename this ledger, even if its own check ends before it reaches the damage."""
    put_meta(connection, _NOTE, problem)


def _look_for_note(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.OperationalError):  # an older or an empty file has no such table
        for (problem,) in connection.execute("SELECT value FROM meta WHERE key = ?", (_NOTE,)):
            raise Damaged(problem)


class Background:
    """Continues in the background a check that a start did not wait for; `on_damage` is called with the finding."""

    def __init__(self, path: Path, on_damage: Callable[[str], Awaitable[None]]) -> None:
        self._path = path
        self._on_damage = on_damage
        self._stop = threading.Event()
        self._task: asyncio.Task[None] | None = None
        self.problem: str | None = None
        self.running = False

    def start(self) -> None:
        logger.warning("{} is large: the check for damage continues in the background", self._path)
        self.running = True
        self._task = asyncio.create_task(self._run(), name="ledger-check")

    async def close(self) -> None:
        """Cancel the check."""
        self._stop.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            result = await asyncio.to_thread(quick_check, self._path, seconds=None, stop=self._stop)
            if result == "ok":
                logger.info("{} was checked: no damage", self._path)
        except Damaged as finding:
            self.problem = f"{self._path} is damaged ({finding}): restore a backup; the next start puts the file aside"
            logger.error("{}", self.problem)
            await self._on_damage(str(finding))
        finally:
            self.running = False


def _is_ours(path: Path) -> bool:
    """Whether the header says that this is a ledger, or nothing at all because it was overwritten with zeros.

    Only for a file that this process has not opened: closing it here would release SQLite's locks.
    """
    try:
        with path.open("rb") as file:
            header = file.read(72)
    except OSError:
        return False
    if not header:
        return False
    ours = ledger_file.APPLICATION_ID.to_bytes(4, "big")
    return (header[:16] == b"SQLite format 3\0" and header[68:72] == ours) or not any(header)
