"""A desk for each run of the server on one ledger, and a fetcher that reads given answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pnl_backend.ledger.sqlite import Store
from pnl_backend.simulator import Simulator
from pnl_backend.sources.base import UpstreamClient
from tests.sources.kalshi.answers import fetch, fetcher  # noqa: F401 - fixtures
from tests.sources.kalshi.desk import Desk

Opened = Callable[[], Any]


@pytest.fixture
def desk(tmp_path: Path, simulator: Simulator, client: UpstreamClient) -> Opened:
    """Opens the ledger and a fetcher on it, again and again: each is one run of the server."""

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[Desk]:
        store = await Store.open(tmp_path / "pnl.db", origin="live")
        try:
            yield Desk(store, simulator, client, **options)
        finally:
            await store.close()

    return opened
