"""Attempts to write while the connection may be lost."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg


class Lost(Exception):
    """The connection turned out to be closed; nothing was done, and it can be tried on another one."""

    def __init__(self, error: psycopg.Error | OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Attempt:
    """One write that waits for a connection: it is given up by the loop, or begun by the thread, never both."""

    def __init__(self) -> None:
        self._begun = False
        self._given_up = False

    def begin(self) -> bool:
        self._begun = not self._given_up
        return self._begun

    def again(self) -> None:
        """Nothing was done: it may be given up again."""
        self._begun = False

    def give_up(self) -> bool:
        self._given_up = not self._begun
        return self._given_up


def retrieved(future: asyncio.Future[Any]) -> None:
    """Callback of a write that was given up: its failure is known already."""
    if not future.cancelled():
        future.exception()
