"""Ids of requests, from the system's random numbers; many are read at a time, to save system calls."""

from __future__ import annotations

import os

LENGTH = 16
"""Hexadecimal digits of an id."""
_DRAWN = 256

_ids: list[str] = []


def new_request_id() -> str:
    """A unique id that cannot be guessed."""
    if not _ids:
        digits = os.urandom(_DRAWN * LENGTH // 2).hex()
        _ids.extend(digits[start : start + LENGTH] for start in range(0, len(digits), LENGTH))
    return _ids.pop()
