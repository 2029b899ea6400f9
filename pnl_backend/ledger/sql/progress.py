"""Logs the progress of long work."""

from __future__ import annotations

import time

from loguru import logger


class ProgressLog:
    """Logs the progress of long work, at most once in `every` seconds for each kind, and always at its end."""

    def __init__(self, every: float = 5.0) -> None:
        self._every = every
        self._logged_at: dict[str, float] = {}

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if done < of and now - self._logged_at.setdefault(what, now) < self._every:
            return
        self._logged_at[what] = now
        logger.info("{}: {} of {} ({} %)", what, done, of, 100 * done // max(of, 1))
