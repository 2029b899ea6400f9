"""Functions of SQL that SQLite lacks and shared statements use."""

from __future__ import annotations

import sqlite3

from pnl_backend.ledger.sql.marking import union


def register(connection: sqlite3.Connection) -> None:
    """Make `names_union` a function of SQL on this connection."""
    connection.create_function("names_union", 2, union, deterministic=True)
