"""A log file that is rotated by size; when it cannot be written it reports that once and opens again later."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

ROTATION = 5_000_000
"""Bytes after which a file is renamed to `.1` and a new one begins."""
KEPT = 5
"""Renamed files that are kept."""
ROOM = 65_536
"""Bytes that must be free before a file that failed is used again; with fewer, every other line would fail."""

_CANNOT_ASK = frozenset({errno.EINVAL, errno.ENODEV, errno.EOPNOTSUPP, errno.ESPIPE, errno.ENOSYS})


class LogFile(RotatingFileHandler):
    """Writes formatted lines; a line that cannot be written completely is not written at all.

    `problem` is why the last line could not be written, else None. `on_problem` is called with it once when it
    begins, `on_recovery` once when it ends. Neither may log to this file.
    """

    terminator = ""

    def __init__(self, path: Path, *, on_problem: Callable[[str], None], on_recovery: Callable[[], None]) -> None:
        """Open the file, readable by its owner and group alone, and make its directory; a failure is a `problem`."""
        super().__init__(
            path, maxBytes=ROTATION, backupCount=KEPT, encoding="utf-8", errors="backslashreplace", delay=True
        )
        self.problem: str | None = None
        self._on_problem = on_problem
        self._on_recovery = on_recovery
        try:
            self._ready(_NOTHING)
        except OSError as error:
            self._fail(error)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; called with the handler's lock held."""
        size: int | None = None
        try:
            stream = self._ready(record)
            if self.problem is not None:
                _has_room(stream)
            size = os.fstat(stream.fileno()).st_size
            stream.write(self.format(record))
            stream.flush()
        except OSError as error:
            self._fail(error, size)
        else:
            self._recover()

    def format(self, record: logging.LogRecord) -> str:
        """The line as it was formatted; it contains the traceback already."""
        return record.getMessage()

    def retry(self) -> None:
        """After a failure, test whether lines can be written again, before the next line comes."""
        self.acquire()
        try:
            if self.problem is not None and _has_room(self._ready(_NOTHING)):
                self._recover()
        except OSError as error:
            self._fail(error)
        finally:
            self.release()

    def _ready(self, record: logging.LogRecord) -> TextIOWrapper:
        """The open file, rotated if the line would make it too large."""
        self.stream = self.stream or self._open()
        if self.shouldRollover(record):
            self.doRollover()
            self.stream = self._open()
        return self.stream

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a", encoding=self.encoding, errors=self.errors, opener=_private)  # Path.open takes no opener

    def _fail(self, error: OSError, size: int | None = None) -> None:
        """Close the file, cut to `size` bytes, without the part of a line that was written; the next line opens it."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()
        if size is not None:
            with suppress(OSError):
                os.truncate(self.baseFilename, size)
        begins, self.problem = self.problem is None, error.strerror or str(error)
        if begins:
            self._on_problem(self.problem)

    def _recover(self) -> None:
        if self.problem is not None:
            self.problem = None
            self._on_recovery()


_NOTHING = logging.makeLogRecord({"msg": ""})


def _has_room(stream: TextIOWrapper) -> bool:
    """Whether `ROOM` more bytes fit; False where only a write can show it. Raises OSError if they do not fit."""
    descriptor = stream.fileno()
    size = os.fstat(descriptor).st_size
    try:
        os.posix_fallocate(descriptor, size, ROOM)
    except OSError as error:
        if error.errno in _CANNOT_ASK:
            return False
        raise
    finally:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)
