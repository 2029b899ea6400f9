"""A simulator without steps of its own, and callers that sign and authenticate as the upstreams require."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from yarl import URL

from pnl_backend.simulator import Credentials, Simulator

NOON = datetime(2026, 3, 11, 12, 34, 56, tzinfo=UTC).timestamp()


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def signed(given: Credentials, url: str, at: float, method: str = "GET") -> dict[str, str]:
    """Kalshi's three headers."""
    key = load_pem_private_key(given.kalshi_private_key_pem.encode(), None)
    stamp = str(int(at * 1000))
    message = f"{stamp}{method}{URL(url).path}".encode()
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        signature = key.sign(message, pss, hashes.SHA256())
    else:
        signature = key.sign(message)
    return {
        "KALSHI-ACCESS-KEY": given.kalshi_key_id,
        "KALSHI-ACCESS-TIMESTAMP": stamp,
        "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
    }


class Caller:
    """Asks the three upstreams with the right credentials."""

    def __init__(self, sim: Simulator, http: aiohttp.ClientSession, clock: Clock) -> None:
        self.sim = sim
        self.http = http
        self.clock = clock

    async def _ask(self, url: str, headers: dict[str, str], params: Any) -> tuple[int, Any]:
        async with self.http.get(url, headers=headers, params=params) as answer:
            return answer.status, await answer.json()

    async def kalshi(self, path: str, *, given: Credentials | None = None, **params: Any) -> tuple[int, Any]:
        url = self.sim.kalshi_url + path
        headers = signed(given or self.sim.credentials(), url, self.clock())
        return await self._ask(url, headers, params)

    async def pages(self, path: str, name: str, **params: Any) -> list[Any]:
        """Every row of a paged list."""
        rows: list[Any] = []
        cursor = ""
        while True:
            status, body = await self.kalshi(path, cursor=cursor, **params)
            assert status == 200, body
            rows += body[name]
            cursor = body["cursor"]
            if not cursor:
                return rows

    async def anthropic(
        self, path: str, *params: tuple[str, str], key: str | None = None, beta: bool = True
    ) -> tuple[int, Any]:
        headers = {"x-api-key": key or self.sim.credentials().anthropic_key, "anthropic-version": "2023-06-01"}
        if beta:
            headers["anthropic-beta"] = "analytics-usage-cost-2026-08-24"
        return await self._ask(f"{self.sim.anthropic_url}/v1/organizations/{path}", headers, params)

    async def report(self, path: str, *params: tuple[str, str]) -> list[Any]:
        """Every row or bucket of a report."""
        rows: list[Any] = []
        page: tuple[tuple[str, str], ...] = ()
        while True:
            status, body = await self.anthropic(path, *params, *page)
            assert status == 200, body
            rows += body["data"]
            if not body["has_more"]:
                return rows
            page = (("page", body["next_page"]),)

    async def command(self, expected: int = 200, /, **body: Any) -> dict[str, Any]:
        """Post a command to the control route, which is to answer with this status."""
        async with self.http.post(self.sim.control_url, json=body) as answer:
            assert answer.status == expected, await answer.text()
            told: dict[str, Any] = await answer.json()
            return told

    async def johns(self) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.sim.credentials().revenue_token}"}
        return await self._ask(self.sim.revenue_url, headers, None)


Start = Callable[..., Awaitable[Caller]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def start(clock: Clock) -> AsyncIterator[Start]:
    """Starts a simulator that stands still, with whatever settings a test asks for."""
    running: list[Simulator] = []
    async with aiohttp.ClientSession() as http:

        async def begin(**settings: Any) -> Caller:
            sim = Simulator(**{"clock": clock, "step_interval": None, "kalshi_rate": None, **settings})
            await sim.start()
            running.append(sim)
            return Caller(sim, http, clock)

        yield begin
        for sim in running:
            await sim.close()


@pytest.fixture
async def caller(start: Start) -> Caller:
    return await start()
