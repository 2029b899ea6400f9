"""Finds lines of `.env` that set nothing. They are reported by number only, because they may hold a secret."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator

from dotenv.parser import Binding, parse_stream

ALLOWED = 'NAME=value, NAME="value" with its closing quote, or # and a comment'
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SETS = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")


def faulty_lines(text: str, known: Collection[str]) -> Iterator[tuple[int, str]]:
    """Number of each line (from 1) that is no assignment, and what is wrong with it. `known` are the settings' names.

    A quoted value may span lines, as a PEM key does, unless one of the lines sets a known name.
    """
    for binding in parse_stream(io.StringIO(text)):
        line = _first_line(binding)
        if binding.error or (binding.key is not None and not (binding.value is not None and _is_name(binding.key))):
            yield line, f"cannot be read, allowed: {ALLOWED}"
        else:
            for number, within in enumerate((binding.value or "").split("\n")[1:], start=line + 1):
                found = _SETS.match(within)
                if found is not None and found[1].upper() in known:
                    yield line, f"a quote is not closed before {found[1]} is set on line {number}, allowed: {ALLOWED}"
                    break


def _is_name(key: str) -> bool:
    return _NAME.fullmatch(key) is not None


def _first_line(binding: Binding) -> int:
    """The number of its first line; the parser's own number is that of the empty lines before it."""
    text = binding.original.string
    return binding.original.line + len(re.findall(r"\r\n|\n|\r", text[: len(text) - len(text.lstrip())]))
