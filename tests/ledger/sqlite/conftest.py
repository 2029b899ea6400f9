"""A ledger in a directory of its own, and records to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.domain.record import Record
from pnl_backend.ledger.sqlite import Store
from tests.ledger.sqlite.ledger import NOON, MakeRecord, OpenStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "pnl.db"


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    """Opens the ledger at `path`, live unless told otherwise; what a test leaves open is closed after it."""
    opened: list[Store] = []

    async def open_(at: Path = path, **options: Any) -> Store:
        store = await Store.open(at, **{"origin": "live", "busy_timeout_ms": 50, **options})
        opened.append(store)
        return store

    yield open_
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    return await open_store()


@pytest.fixture
def record() -> MakeRecord:
    """A record of the store that is `seq`th at five-second steps from noon; anything may be set."""

    def make(store: Store, seq: int | None = None, **fields: Any) -> Record:
        number = store.last_seq + 1 if seq is None else seq
        sums = {"net_cents": number, "kalshi_cents": number + 7, "costs_cents": 9, "revenue_cents": 2}
        blobs = {"data": b'{"seq":%d}' % number, "detail": b'{"of":%d}' % number}
        at = {"at": NOON + number * 5000}
        return Record(**{"epoch": store.epoch, "seq": number, **at, **sums, **blobs, **fields})

    return make
