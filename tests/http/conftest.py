"""The API on a port of its own for each test, carried by pytest-aiohttp's client."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from pytest_aiohttp import AiohttpClient

from pnl_backend.http.api import create_api
from pnl_backend.http.routing import Route
from tests.http.support import ApiServer, Client, House, Mount, Serve, options


@pytest.fixture
def serve(aiohttp_client: AiohttpClient) -> Serve:
    """Starts the API with given collaborators and options; answers the client that asks it, closed after the test."""

    async def start(
        house: House | None = None, mount: Mount | None = None, extra: Iterable[Route] = (), **changes: object
    ) -> Client:
        app = create_api((house or House()).ports, options=options(**changes), extra=extra)
        if mount is not None:
            mount(app)
        return await aiohttp_client(ApiServer(app))

    return start
