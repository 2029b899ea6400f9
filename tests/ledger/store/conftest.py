"""The contract suite of a ledger runs on every database: on a SQLite file and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from pnl_backend.ledger.sql.store import LedgerStore
from tests.ledger.sqlite.conftest import record  # noqa: F401 - a fixture
from tests.ledger.sqlite.ledger import OpenStore
from tests.ledger.store.places import Place, Places, PostgresPlaces, SqlitePlaces


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Makes ledgers in one kind of database."""
    if request.param == "sqlite":
        return SqlitePlaces(tmp_path_factory.mktemp("ledgers"))
    return PostgresPlaces(request.getfixturevalue("postgres"))


@pytest.fixture
def place(places: Places) -> Iterator[Place]:
    """Where the ledger of this test is."""
    made = places.new()
    yield made
    places.remove(made)


@pytest.fixture
async def open_store(place: Place) -> AsyncIterator[OpenStore]:
    """Opens the ledger, live unless told otherwise; what a test leaves open is closed after it."""
    opened: list[LedgerStore] = []

    async def open_(**options: Any) -> LedgerStore:
        store = await place.open(**options)
        opened.append(store)
        return store

    yield open_  # type: ignore[misc] # a store of either kind
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> LedgerStore:
    return await open_store()
