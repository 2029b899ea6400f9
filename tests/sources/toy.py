"""A source type in one file: the monthly bill of a hosting company, in cents. Only its tests refer to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from pnl_backend.domain.figures import count, figures, usd
from pnl_backend.domain.lines import Contribution, Line, Moment
from pnl_backend.domain.money import HUNDRED, ZERO, cents
from pnl_backend.domain.readings import Fetched
from pnl_backend.sources.base import Upstream, UpstreamClient
from pnl_backend.sources.fields import an_object, whole
from pnl_backend.sources.setting import HttpUrl, Millis, SourceSettings, poll_setting, setting
from pnl_backend.sources.simulated import Simulation
from pnl_backend.sources.source_type import CardRow, Setup, SourceType, Unconfigured

HOSTING = Upstream("The hosting company", "HOSTING_URL", "HOSTING_TOKEN")
PATH = "Hosting bill: "


class HostingSettings(SourceSettings):
    hosting_url: HttpUrl = setting("https://billing.example.com/api/month", "the bill", allowed="an http or https URL")
    hosting_token: SecretStr | None = setting(None, "sent as Authorization: Bearer", allowed="the token")
    hosting_poll_ms: Millis = poll_setting(60000, "the hosting company")


@dataclass(frozen=True, slots=True)
class Bill:
    """What the servers cost since the beginning, what was credited for outages, and how many servers there are."""

    spent: Decimal
    credited: Decimal
    servers: int


@figures
class HostingFigures:
    """The bill of the hosting company; USD."""

    spent: Decimal = usd("Cost since the beginning.", cumulative=True)
    credited: Decimal = usd("Credits for outages since the beginning.", cumulative=True)
    servers: int = count("Servers that run now.")


class HostingFetcher:
    def __init__(self, client: UpstreamClient, url: str, token: str) -> None:
        self._client = client
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def fetch(self) -> Fetched[Bill]:
        as_of = int(time.time() * 1000)
        answer = an_object(await self._client.get_json(HOSTING, self._url, headers=self._headers), PATH)
        spent, credited = (whole(answer, field, PATH, least=0) / HUNDRED for field in ("spent", "credited"))
        return Fetched(Bill(Decimal(spent), Decimal(credited), whole(answer, "servers", PATH, least=0)), as_of)


def build(settings: HostingSettings, given: Setup) -> HostingFetcher | Unconfigured:
    if settings.hosting_token is None:
        return Unconfigured("Hosting has no token", hint="set HOSTING_TOKEN", half=True)
    return HostingFetcher(given.client, settings.hosting_url, settings.hosting_token.get_secret_value())


def contribute(bill: Bill, moment: Moment) -> Contribution[HostingFigures]:
    shown = HostingFigures(cents(bill.spent), cents(bill.credited), bill.servers)
    return Contribution(shown, (Line("expense", "Servers", bill.spent), Line("revenue", "Credits", bill.credited)))


class SimulatedHosting:
    """The hosting company on a loopback port."""

    def __init__(self, simulation: Simulation) -> None:
        self.answer: dict[str, Any] = {"spent": 123456, "credited": 1050, "servers": 3}
        self._upstream = simulation.upstream("hosting")
        self._upstream.add("/api/month", self._bill)

    def settings(self) -> Mapping[str, Any]:
        return {"hosting_url": f"{self._upstream.url}/api/month", "hosting_token": "simulated-token"}

    async def _bill(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer simulated-token":
            return web.json_response({"error": "unknown token"}, status=401)
        return web.json_response(self.answer)


SOURCE = SourceType(
    name="hosting",
    label="Hosting",
    settings=HostingSettings,
    configured_by=frozenset(("hosting_token",)),
    poll="hosting_poll_ms",
    build=build,
    nothing=Bill(ZERO, ZERO, 0),
    figures=HostingFigures,
    contribute=contribute,
    agent="Harriet",
    summary=lambda bill: f"${bill.spent:,.2f} for {bill.servers} servers",
    card=(CardRow("spent", "Servers"), CardRow("credited", "Credits"), CardRow("servers", "Running")),
    simulator=SimulatedHosting,
)
