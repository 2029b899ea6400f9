"""The row of `head`: who may write the ledger. A writer claims it with its fence; an older one is refused from then on.

A writer without a fence is the only one: it holds an advisory lock, of which writers with a fence hold a shared one.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import psycopg
from psycopg.errors import UndefinedTable

from pnl_backend.errors import Fenced, StoreError
from pnl_backend.ledger.addresses import shown
from pnl_backend.ledger.postgres.adapter import Raw
from pnl_backend.ledger.postgres.address import connect
from pnl_backend.ledger.postgres.problems import describe
from pnl_backend.ledger.postgres.schema import SHARED_KEY
from pnl_backend.ledger.sql.connection import Connection

RELEASED_WITHIN = 2.0
"""Seconds within which PostgreSQL has ended the session of a server that is gone."""

SET_SEQ = "UPDATE head SET fence = ?, seq = ? WHERE fence <= ?"


class Head(NamedTuple):
    """The fence of the last writer, the last number that it stored, and the ledger's epoch."""

    fence: int
    seq: int
    epoch: str


async def head_of(url: str) -> Head:
    """The head of the ledger at `url`, (0, 0, "") of an empty database; StoreError when it cannot be read."""
    return await asyncio.to_thread(read_head, url)


def read_head(url: str) -> Head:
    """The same, on the thread that calls."""
    raw = connect(url, program="pnl-backend head", read_only=True)
    try:
        fence, seq, epoch = raw.execute(_HEAD).fetchone() or (0, 0, "")
        return Head(fence, seq, epoch)
    except UndefinedTable:
        return Head(0, 0, "")
    except psycopg.Error as error:
        raise describe(error, shown(url)) from error
    finally:
        raw.close()


def lock(raw: Raw, name: str, *, shared: bool) -> None:
    """Lock the ledger for this session; StoreError if somebody else does.

    PostgreSQL ends a session a moment after its connection is closed, so that a server which was just stopped may
    still be seen to hold the lock.
    """
    kind = "_shared" if shared else ""
    ends = time.monotonic() + RELEASED_WITHIN
    while True:
        row = raw.execute(f"SELECT pg_try_advisory_lock{kind}({SHARED_KEY}, hashtext(current_schema()))").fetchone()
        if row == (True,):
            return
        if time.monotonic() >= ends:
            raise StoreError(f"{name} is in use by another server: stop it, or set another DATABASE_URL")
        time.sleep(0.05)


def claim(connection: Connection, fence: int, *, again: bool) -> None:
    """Take the ledger; Fenced if a newer fence has it, and, unless this writer had it before, for an equal one."""
    (held,) = connection.execute("SELECT fence FROM head").fetchone()
    if held > fence or (held == fence and not again):
        raise fenced(held)
    connection.execute("UPDATE head SET fence = ? WHERE fence <= ?", (fence, fence))


def fenced(held: int) -> Fenced:
    return Fenced(f"another node writes the ledger now (fence {held})", fence=held)


_HEAD = """
SELECT h.fence, greatest(h.seq, (SELECT coalesce(max(last_seq), 0) FROM skips)),
       coalesce((SELECT epoch FROM epochs ORDER BY first_seq DESC LIMIT 1), '')
FROM head AS h
"""
