"""Looks at a database without changing it: whether a ledger in it could be read and written."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import psycopg

from pnl_backend.ledger.addresses import shown
from pnl_backend.ledger.postgres import schema
from pnl_backend.ledger.postgres.address import connect
from pnl_backend.ledger.postgres.problems import describe

_LOOK = """
SELECT current_setting('server_version'), pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
       has_schema_privilege(current_schema(), 'CREATE')
"""
_LEDGER = """
SELECT e.epoch, h.seq, has_table_privilege('snapshots', 'INSERT')
FROM epochs AS e, head AS h ORDER BY e.first_seq DESC LIMIT 1
"""


class Seen(NamedTuple):
    """What a look showed: whether the ledger can be written, and a sentence about it."""

    writable: bool
    detail: str


async def look(url: str) -> Seen:
    """Connect and look; StoreError if the database cannot be reached, or holds what is not ours or newer."""
    return await asyncio.to_thread(_look, url)


def _look(url: str) -> Seen:
    name = shown(url)
    raw = connect(url, program="pnl-backend check")
    try:
        version, read_only, may_create = raw.execute(_LOOK).fetchone() or ("", True, False)
        what = f"PostgreSQL {version}"
        held = raw.execute(_LEDGER).fetchone() if schema.version_of(raw, name) else None
    except psycopg.Error as error:
        raise describe(error, name) from error
    finally:
        raw.close()
    if read_only:
        return Seen(False, f"{name} is read-only ({what})")
    if held is None:
        if not may_create:
            return Seen(False, f"{name} is empty, and this user may not create tables in it ({what})")
        return Seen(True, f"{name} is empty: the server creates its tables ({what})")
    epoch, seq, may_insert = held
    if not may_insert:
        return Seen(False, f"{name} can be read by this user, not written: epoch {epoch}, last number {seq}, {what}")
    return Seen(True, f"{name} can be written: epoch {epoch}, last number {seq}, {what}")
