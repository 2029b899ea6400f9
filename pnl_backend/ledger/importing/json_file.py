"""The rows of a JSON export of `/api/pnl/history`, one after the other: a file of any length needs little memory.

The list of rows is the file itself, or the value of `data` at any depth: `{"success": true, "data": {"data": [...]}}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from pnl_backend.errors import ImportFileError
from pnl_backend.ledger.sql.connection import Progress

PIECE = 1 << 16
LONGEST_VALUE = 1 << 22
"""Characters of one row at most."""


def rows(file: Path, what: str, progress: Progress) -> Iterator[Any]:
    """Every row, numbers with a point as Decimal; ImportFileError if the file is no history.

    `progress` is called with `what` and how much of the file was read.
    """
    size = file.stat().st_size
    try:
        with file.open(encoding="utf-8-sig") as text:
            yield from _Reader(text, file, lambda done: progress(what, min(done, size), size)).rows()
    except UnicodeError:
        raise ImportFileError(f"{file} is damaged: not UTF-8") from None


class _Reader:
    """Reads JSON values from a stream; `_at` is where the next one begins in the text that was read so far."""

    def __init__(self, text: TextIO, file: Path, on_read: Callable[[int], None]) -> None:
        self._on_read = on_read
        self._read = 0
        self._text = text
        self._file = file
        self._held = ""
        self._at = 0
        self._found = False
        self._decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=lambda _: None)

    def rows(self) -> Iterator[Any]:
        opening = self._peek()
        if opening == "[":
            self._found = True
            yield from self._list()
        elif opening == "{":
            yield from self._object()
        if self._peek():
            raise self._damaged("there is text after its end")
        if not self._found:
            raise ImportFileError(f"{self._file} is JSON, but no export of /api/pnl/history: there is no list of rows")

    def _list(self) -> Iterator[Any]:
        self._expect("[")
        if self._peek() == "]":
            self._expect("]")
            return
        while True:
            yield self._value()
            if self._peek() == "]":
                self._expect("]")
                return
            self._expect(",")

    def _object(self) -> Iterator[Any]:
        self._expect("{")
        if self._peek() == "}":
            self._expect("}")
            return
        while True:
            name = self._value()
            self._expect(":")
            opening = self._peek()
            if name == "data" and opening == "[" and not self._found:
                self._found = True
                yield from self._list()
            elif name == "data" and opening == "{" and not self._found:
                yield from self._object()
            else:
                self._value()
            if self._peek() == "}":
                self._expect("}")
                return
            self._expect(",")

    def _peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more():
                return ""

    def _expect(self, character: str) -> None:
        found = self._peek()
        if found != character:
            raise self._damaged("it ends too early" if not found else f"{found!r} where {character!r} should be")
        self._at += 1

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._held) - self._at > LONGEST_VALUE or not self._more():
                    raise self._damaged("a value is cut off or malformed") from error
                continue
            if end == len(self._held) and self._more():  # a number may continue in the next chunk
                continue
            self._at = end
            return value

    def _more(self) -> bool:
        """Read twice as much as is held, so that a long value is parsed again only a few times."""
        piece = self._text.read(max(PIECE, len(self._held) - self._at))
        self._held, self._at = self._held[self._at :] + piece, 0
        self._read += len(piece)
        self._on_read(self._read)
        return bool(piece)

    def _damaged(self, why: str) -> ImportFileError:
        return ImportFileError(f"{self._file} is damaged: {why}")
