"""A new database for each test, and stores on it that are closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from pnl_backend.ledger.postgres import Reader, Store
from tests.ledger.sqlite.conftest import record  # noqa: F401 - a fixture
from tests.ledger.store.places import PostgresPlace
from tests.support.postgres import PostgresServer

Open = Callable[..., Awaitable[Store]]


@pytest.fixture
def place(postgres: PostgresServer) -> Iterator[PostgresPlace]:
    made = PostgresPlace(postgres, postgres.database())
    yield made
    postgres.drop(made.url)


@pytest.fixture
async def open_store(place: PostgresPlace) -> AsyncIterator[Open]:
    """Opens the ledger to write it; `fence` and the other options are those of `Store.open`."""
    opened: list[Store] = []

    async def open_(**options: Any) -> Store:
        store = await place.open(**options)
        opened.append(store)
        return store

    yield open_
    for store in opened:
        await store.close()


@pytest.fixture
async def open_reader(place: PostgresPlace) -> AsyncIterator[Callable[..., Awaitable[Reader]]]:
    """Opens the ledger to read it."""
    opened: list[Reader] = []

    async def open_(url: str = place.url, **options: Any) -> Reader:
        reader = await Reader.open(url, **{"origin": "live", **options})
        opened.append(reader)
        return reader

    yield open_
    for reader in opened:
        await reader.close()


@pytest.fixture
async def store(open_store: Open) -> Store:
    return await open_store()
