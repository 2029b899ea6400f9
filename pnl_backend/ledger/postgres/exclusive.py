"""A ledger in PostgreSQL, opened for this process alone, on the thread that calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

import psycopg

from pnl_backend.ledger.addresses import shown
from pnl_backend.ledger.postgres import head, schema
from pnl_backend.ledger.postgres.adapter import Adapter
from pnl_backend.ledger.postgres.address import connect
from pnl_backend.ledger.postgres.problems import describe
from pnl_backend.ledger.sql import business_days
from pnl_backend.ledger.sql.connection import Connection, Progress, transaction
from pnl_backend.ledger.sql.identity import Origin, establish, new_identity, refuse_other_origin
from pnl_backend.ledger.sql.rollups import Calendar


@contextmanager
def opened(url: str, *, origin: Origin, timezone: str, now: float, progress: Progress) -> Iterator[Connection]:
    """The ledger at `url`, created if the database is empty and migrated if it is older; see `Location.exclusive`."""
    with held(url, progress) as connection:
        refuse_other_origin(connection, origin, shown(url), "DATABASE_URL to another database")
        with transaction(connection):
            establish(connection, origin, new_identity(now))
        business_days.follow_zone(connection, Calendar(ZoneInfo(timezone)), progress)
        yield connection


@contextmanager
def held(url: str, progress: Progress) -> Iterator[Adapter]:
    """The database at `url`, locked, with the ledger's tables in it."""
    name = shown(url)
    raw = connect(url, program="pnl-backend command")
    try:
        head.lock(raw, name, shared=False)
        schema.migrate(raw, name, progress)
        yield Adapter(raw)
    except psycopg.Error as error:
        raise describe(error, name) from error
    finally:
        raw.close()
