"""The address of a database, and connections to it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pnl_backend.errors import StoreError
from pnl_backend.ledger.addresses import shown
from pnl_backend.ledger.postgres.adapter import Raw, prepare
from pnl_backend.ledger.postgres.problems import describe

CONNECT_TIMEOUT_S = 3
"""Seconds that a connection may take."""
WRITE_TIMEOUT_MS = 5000
"""The longest statement of a writer."""
READ_TIMEOUT_MS = 10_000
"""The longest query of a reader."""
IDLE_TIMEOUT_MS = 3000
"""How long a transaction may rest before PostgreSQL ends it: a writer that was paused holds up no other one."""
LOCK_TIMEOUT_MS = 4000
"""How long a statement waits for a lock, longer than a paused writer can hold it."""

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def connect(url: str, *, program: str, read_only: bool = False) -> Raw:
    """A connection whose statements are transactions of their own; StoreError says why there is none."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise StoreError(f"{shown(url)} is no address of a PostgreSQL database") from error
    try:
        raw = psycopg.connect(**{**_DEFAULTS, **given, "application_name": program}, autocommit=True)
    except psycopg.Error as error:
        raise describe(error, shown(url)) from error
    try:
        prepare(raw)
        raw.execute(_settings(read_only=read_only), prepare=False)
    except BaseException as error:
        raw.close()
        if isinstance(error, psycopg.Error):
            raise describe(error, shown(url)) from error
        raise
    return raw


def _settings(*, read_only: bool) -> str:
    settings = {
        "statement_timeout": READ_TIMEOUT_MS if read_only else WRITE_TIMEOUT_MS,
        "lock_timeout": LOCK_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS,
        "client_min_messages": "warning",
    }
    if read_only:
        settings["default_transaction_read_only"] = "on"
    statements = [f"SET {name} = {value}" for name, value in settings.items()]
    # remote_apply waits for more than `on` does, and stays where the server is set so.
    statements.append(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') <> 'remote_apply'"
    )
    return "; ".join(statements)
