"""A start without a ledger that can be written: it is read, if that works, and the run gets numbers of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import psycopg

from pnl_backend.errors import StoreError
from pnl_backend.ledger.addresses import shown
from pnl_backend.ledger.postgres import schema
from pnl_backend.ledger.postgres.adapter import Adapter
from pnl_backend.ledger.postgres.address import connect
from pnl_backend.ledger.sql.connection import Connection
from pnl_backend.ledger.sql.identity import Identity, new_epoch
from pnl_backend.ledger.sql.numbering import last_taken


def standby_of(url: str, now: float, on_standby: Callable[[Connection | None, Identity], None]) -> None:
    """Call `on_standby` with a new epoch after all numbers that are stored, and with a connection if there is one.

    If the ledger cannot be read, its last number is not known; the time in ms is higher. `now` is in seconds.
    """
    unknown = Identity(new_epoch(), int(now * 1000), datetime.fromtimestamp(now, UTC).date())
    try:
        raw = connect(url, program="pnl-backend standby", read_only=True)
    except StoreError:
        on_standby(None, unknown)
        return
    try:
        if schema.version_of(raw, shown(url)) != schema.VERSION:
            on_standby(None, unknown)
            return
        connection = Adapter(raw)
        (held,) = connection.execute("SELECT value FROM meta WHERE key = 'first_run'").fetchone()
        run = Identity(new_epoch(), last_taken(connection), date.fromisoformat(held))
        on_standby(connection, run)
    except psycopg.Error:
        on_standby(None, unknown)
    finally:
        raw.close()
