"""Reads a ledger in PostgreSQL that a server may be writing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg

from pnl_backend.errors import StoreError
from pnl_backend.ledger.addresses import shown
from pnl_backend.ledger.postgres import schema
from pnl_backend.ledger.postgres.address import connect
from pnl_backend.ledger.postgres.problems import describe
from pnl_backend.ledger.postgres.readers import Readers
from pnl_backend.ledger.sql.connection import Reads


@asynccontextmanager
async def readers_of(url: str) -> AsyncIterator[Reads]:
    """Queries of the ledger at `url`; StoreError if there is none, or it is not ours, newer or older."""
    await asyncio.to_thread(_check, url)
    readers = Readers(url, count=1)
    try:
        yield readers
    finally:
        await readers.close()


def _check(url: str) -> None:
    name = shown(url)
    raw = connect(url, program="pnl-backend check", read_only=True)
    try:
        version = schema.version_of(raw, name)
    except psycopg.Error as error:
        raise describe(error, name) from error
    finally:
        raw.close()
    if version == 0:
        raise StoreError(f"there is no ledger at {name}")
    if version < schema.VERSION:
        raise StoreError(f"{name} was made by an older version: start the server once, it brings the ledger up to date")
