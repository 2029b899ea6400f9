"""Ends a connection that another thread waits for."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import psycopg

from pnl_backend.ledger.postgres.adapter import Raw


def cut(raw: Raw) -> None:
    """Shut the connection's socket down: whoever waits for an answer gets an error at once."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(raw.pgconn.socket)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
