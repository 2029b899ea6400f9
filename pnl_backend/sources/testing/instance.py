"""A fetcher of the type under test, built by its own declaration, with a stub before its upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from pnl_backend.domain.readings import Fetched
from pnl_backend.errors import FetchError
from pnl_backend.sources.account import AccountIdentity, AnyAccount
from pnl_backend.sources.base import Fetcher, NoClosedDays, UpstreamClient
from pnl_backend.sources.simulated import Simulate, Simulation
from pnl_backend.sources.source_type import Setup, SourceType, Unconfigured
from pnl_backend.sources.testing.stub import Fault, Stub, stubbed


@dataclass(frozen=True, slots=True)
class Instance:
    """One fetcher of the type, and the stub before its upstream."""

    fetcher: Fetcher[Any]
    stub: Stub
    secrets: tuple[str, ...]
    host: str

    async def fetch(self, fault: Fault | None = None) -> Fetched[Any]:
        self.stub.fault = fault
        return await self.fetcher.fetch()

    async def failure(self, fault: Fault) -> FetchError:
        """The error of a fetch, which must be a FetchError that shows no secret."""
        try:
            fetched = await self.fetch(fault)
        except FetchError as error:
            shown = f"{error} {error.hint or ''}"
            assert not [secret for secret in self.secrets if secret in shown], "an error shows a secret"
            return error
        raise AssertionError(f"the fetch should have failed, it gave {fetched}")


@asynccontextmanager
async def instance_of(
    source: SourceType[Any, Any, Any],
    simulate: Simulate,
    *,
    timeout: float = 10.0,
    identity: AccountIdentity | None = None,
    **client: Any,
) -> AsyncIterator[Instance]:
    """The source as its declaration builds it; `timeout` (s) and `client` are those of its HTTP client."""
    simulation = Simulation()
    part = simulate(simulation)
    async with simulation:
        known = source.settings.model_fields
        given = {name: value for name, value in part.settings().items() if name in known}
        origin = next("://".join(urlsplit(value)[:2]) for value in given.values() if _is_url(value))
        async with stubbed(origin) as stub, aiohttp.ClientSession() as session:
            moved = {name: stub.moved(value) if _is_url(value) else value for name, value in given.items()}
            settings = source.settings(**moved)
            built = source.build(settings, setup_of(UpstreamClient(session, timeout=timeout, **client), identity))
            assert not isinstance(built, Unconfigured), "the simulated upstream's settings do not configure the source"
            yield Instance(built, stub, _secrets(settings), source.host_of(settings))


def setup_of(client: UpstreamClient, identity: AccountIdentity | None = None) -> Setup:
    return Setup(client, since=datetime.now(UTC).date(), closed_days=NoClosedDays(), identity=identity or AnyAccount())


def _is_url(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def _secrets(settings: Any) -> tuple[str, ...]:
    held = [getattr(settings, name) for name in type(settings).model_fields]
    return tuple(one.get_secret_value() for one in held if isinstance(one, SecretStr))
