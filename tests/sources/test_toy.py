"""One file makes a source: it is in everything that the server shows, and nothing else was changed."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
import socketio

from pnl_backend.app import running
from pnl_backend.commands.check_parts import check_parts
from pnl_backend.domain.readings import Reading
from pnl_backend.domain.snapshot import compute
from pnl_backend.settings.text import example, load
from pnl_backend.sources import registry
from pnl_backend.sources.simulated import Simulation
from pnl_backend.wire.views import from_record, period_view, snapshot_view, to_record
from tests.sources.toy import SOURCE, Bill, SimulatedHosting
from tests.support.snapshots import taken
from tests.waiting import PATIENCE
from tests.wire.recorded import NOW
from tests.wire.recorded import taken as classic

SPENT, CREDITED = 1234.56, 10.5


@pytest.fixture
def hosting(tmp_path, monkeypatch):
    """The classic three and the toy, whichever types there are beside them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "BUILT_IN", tuple(one for one in registry.BUILT_IN if one.always_shown))
    with registry.registered(SOURCE):
        yield


@pytest.fixture
async def server(hosting):
    """The whole server in the demo, which simulates the toy's upstream too."""
    async with running(load(port=0, demo=True, update_interval_ms=100, rate_limit_per_minute=0)) as server:
        yield server


@pytest.fixture
async def ask(server):
    async with aiohttp.ClientSession(server.url) as session:

        async def ask(path: str):
            async with session.get(path) as answer:
                assert answer.status == 200, await answer.text()
                return await (answer.json() if "json" in answer.content_type else answer.text())

        yield ask


async def live(ask):
    """A snapshot with a live reading of the toy."""
    async with asyncio.timeout(PATIENCE):
        while (snapshot := (await ask("/api/pnl/current"))["data"])["sources"]["hosting"]["status"] != "live":
            continue
    return snapshot


def sums_of(snapshot):
    parts = snapshot["components"]
    revenue = parts["kalshi"]["pnl"] + parts["johns"]["collected"] + parts["hosting"]["credited"]
    expenses = parts["kalshi"]["fees"] + parts["anthropic"]["totalSpend"] + parts["hosting"]["spent"]
    return round(revenue, 2), round(expenses, 2)


async def test_it_is_in_the_snapshot_and_in_its_totals(ask):
    snapshot = await live(ask)
    assert snapshot["components"]["hosting"] == {"spent": SPENT, "credited": CREDITED, "servers": 3}
    assert snapshot["sources"]["hosting"]["tier"] == "live"
    assert (snapshot["totalRevenue"], snapshot["totalExpenses"]) == sums_of(snapshot)
    assert abs(Decimal(snapshot["exact"]["netPnL"]) - Decimal(str(snapshot["netPnL"]))) < Decimal("0.05")


async def test_it_is_in_rest(ask):
    await live(ask)
    breakdown = (await ask("/api/pnl/breakdown"))["data"]
    assert breakdown["hosting"]["spent"] == SPENT
    assert {"Servers": SPENT}.items() <= {cost["name"]: cost["value"] for cost in breakdown["costBreakdown"]}.items()
    (harriet,) = [entry for entry in breakdown["agentAttribution"] if entry["agent"] == "Harriet"]
    assert (harriet["revenue"], harriet["expenses"]) == (CREDITED, SPENT)
    breakers = (await ask("/api/circuit-breaker/status"))["data"]["services"]
    assert breakers["hosting"]["state"] == "CLOSED"
    ledger = await ask("/api/pnl/current")
    assert ledger["totalRevenue"] == round(breakdown["johns"]["collected"] + CREDITED, 2)
    assert ledger["netPnL"] == round(ledger["kalshiPnL"] + ledger["totalRevenue"] - ledger["totalCosts"], 2)
    month = (await ask("/api/pnl/current?period=today"))["data"]
    assert month["components"]["hosting"]["servers"] == 3, "a count is no total, so a period does not lessen it"
    (described,) = [one for one in (await ask("/api/sources"))["data"]["sources"] if one["name"] == "hosting"]
    assert described == {
        "name": "hosting",
        "label": "Hosting",
        "service": "hosting",
        "rows": [
            {"field": "spent", "label": "Servers", "format": "usd"},
            {"field": "credited", "label": "Credits", "format": "usd"},
            {"field": "servers", "label": "Running", "format": "count"},
        ],
    }


async def test_it_is_in_health_and_metrics(ask):
    await live(ask)
    assert (await ask("/health"))["parts"]["hosting"]["state"] == "live"
    exposition = await ask("/metrics")
    assert 'pnl_source_live{source="hosting"} 1.0' in exposition
    assert 'pnl_breaker_state{service="hosting",state="CLOSED"} 1.0' in exposition
    assert 'pnl_fetch_seconds_count{source="hosting"}' in exposition


async def test_it_is_in_the_descriptions(ask):
    schemas = (await ask("/openapi.json"))["components"]["schemas"]
    assert schemas["HostingComponent"]["required"] == ["spent", "credited", "servers"]
    assert schemas["HostingComponent"]["properties"]["spent"]["description"] == "Cost since the beginning."
    for model, field in {"Components": "hosting", "Sources": "hosting", "BreakerServices": "hosting"}.items():
        assert field in schemas[model]["required"]
    assert "HostingComponent" in (await ask("/asyncapi.json"))["components"]["schemas"]
    assert "HostingComponent" in await ask("/docs")


async def test_it_is_in_the_feeds(server, ask):
    await live(ask)
    client = socketio.AsyncClient()
    got: dict[str, asyncio.Future] = {
        name: asyncio.get_running_loop().create_future() for name in ("pnl_update", "components_update", "pnl-update")
    }
    for name, future in got.items():
        client.on(name, lambda data, future=future: None if future.done() else future.set_result(data))
    async with asyncio.timeout(PATIENCE), contextlib.AsyncExitStack() as stack:
        await client.connect(server.url)
        stack.push_async_callback(client.disconnect)
        for name in ("subscribe_pnl", "subscribe_components", "subscribe_dashboard"):
            await client.emit(name)
        update, components, dashboard = [await future for future in got.values()]
    assert update["data"]["components"]["hosting"]["spent"] == SPENT
    assert components["data"]["hosting"]["servers"] == 3
    assert dashboard["trendsData"][-1]["expenses"] == dashboard["expenses"]
    assert "Servers" in {cost["name"] for cost in dashboard["costBreakdown"]}


def test_its_settings_are_in_the_example_file(hosting):
    assert (
        "\n# the bill\n# allowed: an http or https URL\n# HOSTING_URL=https://billing.example.com/api/month\n"
        in example()
    )


async def test_without_its_settings_it_is_not_shown(hosting, monkeypatch):
    assert "hosting" not in {finding.part async for finding in check_parts(load(port=0))}
    monkeypatch.setenv("HOSTING_TOKEN", "t")
    settings = load(port=0)
    assert settings.any_source, "who sets it has an account in mind"
    assert "t" in settings.secrets


async def test_check_prints_what_it_would_contribute(hosting, monkeypatch):
    simulation = Simulation()
    hosting_company = SimulatedHosting(simulation)
    async with simulation:
        for name, value in hosting_company.settings().items():
            monkeypatch.setenv(name.upper(), value)
        found = {finding.part: finding async for finding in check_parts(load(port=0))}
    assert (found["hosting"].status, found["hosting"].detail) == ("ok", "answers: $1,234.56 for 3 servers")


async def test_a_snapshot_of_a_source_that_is_gone_is_read_as_it_was_published(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"port": 0, "demo": True, "update_interval_ms": 100, "rate_limit_per_minute": 0}
    with registry.registered(SOURCE):
        async with running(load(**settings)) as server, aiohttp.ClientSession(server.url) as session:

            async def ask(path):
                async with session.get(path) as answer:
                    return await answer.json()

            before = await live(ask)
    async with running(load(**settings)) as server, aiohttp.ClientSession(server.url) as session:
        async with session.get("/api/pnl/history?limit=1000") as answer:
            kept = (await answer.json())["data"]["data"]
        async with asyncio.timeout(PATIENCE):
            while True:
                async with session.get("/api/pnl/current") as answer:
                    now = (await answer.json())["data"]
                if "hosting" not in now["components"]:
                    break
    assert before["components"]["hosting"] in [row["components"].get("hosting") for row in kept]
    assert now["seq"] > before["seq"]
    assert Path("data").is_dir()


def test_a_record_gives_back_the_further_source(hosting):
    def snapshot(spent, seq):
        value = Bill(Decimal(spent), Decimal("10.50"), 3)
        readings = {**classic("all"), **taken(Reading("hosting", value, NOW, NOW, "live"))}
        sources = {declared.name: declared.accounting for declared in registry.types()}
        return compute(readings, sources, epoch="e", seq=seq, at=NOW)

    old, new = snapshot("1000.005", 1), snapshot("1234.56", 2)
    assert old.components["hosting"].spent == Decimal("1000.01")
    back = from_record(to_record(new))
    assert snapshot_view(back) == snapshot_view(new)
    assert to_record(back) == to_record(new)
    assert (back.total_revenue, back.total_expenses) == (new.total_revenue, new.total_expenses)
    record = to_record(new)
    assert record.net_cents == record.kalshi_cents + record.revenue_cents - record.costs_cents
    for now, base in (
        (new, old),
        (from_record(to_record(new)), from_record(to_record(old))),
        (new, from_record(to_record(old))),
    ):
        shown = period_view(now, base, "mtd")
        assert shown.components["hosting"] == {"spent": 234.55, "credited": 0.0, "servers": 3}
        assert shown.totalExpenses == 234.55
    assert not replace(new, sources={}).is_complete({"hosting"}), "an older snapshot lacks a source that came later"
