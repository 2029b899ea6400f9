"""Opens both ends of a move, each for this process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pnl_backend.errors import StoreError
from pnl_backend.ledger.location import Location
from pnl_backend.ledger.moving.ends import End
from pnl_backend.ledger.sql.connection import Progress
from pnl_backend.ledger.sql.identity import Origin
from pnl_backend.ledger.sqlite import exclusive
from pnl_backend.ledger.sqlite.ledger_file import is_blank
from pnl_backend.ledger.sqlite.migrations import migrate


@contextmanager
def source(location: Location, *, origin: Origin, timezone: str, now: float, progress: Progress) -> Iterator[End]:
    """A ledger to copy, brought up to date first; StoreError if there is none, or a server uses it."""
    _require(location)
    with location.exclusive(origin=origin, timezone=timezone, now=now, progress=progress) as connection:
        if location.url is None:
            yield End(str(location), connection)
            return
        from pnl_backend.ledger.moving.postgres_end import PostgresEnd
        from pnl_backend.ledger.postgres.adapter import Adapter

        if not isinstance(connection, Adapter):
            raise TypeError("the connection to PostgreSQL has its adapter")
        yield PostgresEnd(str(location), connection)


@contextmanager
def target(location: Location, progress: Progress) -> Iterator[End]:
    """Where a ledger is copied to: with the ledger's tables, whatever is in them; StoreError if a server uses it."""
    if location.url is None:
        with exclusive.held(location.path) as connection:
            exclusive.name_ours(connection)
            migrate(connection, progress)
            yield End(str(location), connection)
            exclusive.keep_log_short(connection)
        return
    from pnl_backend.ledger.moving.postgres_end import PostgresEnd
    from pnl_backend.ledger.postgres.exclusive import held

    with held(location.url, progress) as adapter:
        yield PostgresEnd(str(location), adapter)


def _require(location: Location) -> None:
    """StoreError if there is no ledger."""
    if location.url is None:
        missing = is_blank(location.path)
    else:
        from pnl_backend.ledger.postgres.head import read_head

        missing = not read_head(location.url).epoch
    if missing:
        raise StoreError(f"there is no ledger at {location}")
