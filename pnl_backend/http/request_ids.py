"""Ids of requests, drawn from the system's randomness many at a time: one system call for each would be felt."""

from __future__ import annotations

import os

LENGTH = 16
"""Hexadecimal digits of an id."""
_DRAWN = 256

_ids: list[str] = []


def new_request_id() -> str:
    """An id that nobody has had before and nobody can guess."""
    if not _ids:
        digits = os.urandom(_DRAWN * LENGTH // 2).hex()
        _ids.extend(digits[start : start + LENGTH] for start in range(0, len(digits), LENGTH))
    return _ids.pop()
