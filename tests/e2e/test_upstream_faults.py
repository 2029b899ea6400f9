"""Each upstream killed, hung and fed garbage in turn while a client watches."""

import pytest

from pnl_backend.simulator import Fault
from tests.support.clients import listening

UPSTREAMS = {"kalshi": "kalshi", "anthropic": "anthropic", "johns": "johns_revenue"}
FAULTS = {
    "hang": Fault.hang(),
    "drip": Fault.drip(seconds=0.5),
    "garbage": Fault.garbage(),
    "truncated": Fault.truncated(),
    "html": Fault.html(),
    "error": Fault.status(500),
    "nan": Fault.nan(),
    "redirect": Fault.redirect(),
    "too_big": Fault.too_big(gzip=True),
    "closed": Fault.close(),
}


def figures(update):
    data = update["data"]
    named = ("totalRevenue", "totalExpenses", "netPnL", "components")
    return {name: data[name] for name in named}


async def watch_outage(server, client, source, start, end):
    """Start an outage, see it through until the breaker opens, end it, and see the source live again."""
    service = UPSTREAMS[source]
    # All of them: a source that gives its first reading later moves the figures, too.
    before = await client.next(
        "pnl_update", lambda u: all(each["status"] == "live" for each in u["data"]["sources"].values())
    )
    mark = len(client.of("pnl_update"))
    await start()
    stale = await client.next("pnl_update", lambda u: u["data"]["sources"][source]["status"] == "stale")
    assert stale["data"]["sources"][source]["error"]
    assert stale["data"]["degraded"] == []
    opened = await server.until(
        "/api/circuit-breaker/status", lambda a: a["data"]["services"][service]["state"] == "OPEN"
    )
    assert opened["data"]["services"][service]["failureCount"] >= 5
    assert opened["data"]["services"][service]["nextAttemptTime"] > 0
    aged = await client.next("pnl_update", lambda u: u["data"]["sources"][source]["ageMs"] > 1000)
    assert aged["data"]["sources"][source]["tier"] != "live"
    await end()
    closed = await server.until(
        "/api/circuit-breaker/status", lambda a: a["data"]["services"][service]["state"] == "CLOSED"
    )
    assert closed["data"]["services"][service]["failureCount"] == 0
    await client.next("pnl_update", lambda u: u["data"]["sources"][source]["status"] == "live")
    during = client.of("pnl_update")[mark:]
    seqs = [update["data"]["seq"] for update in during]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    wrong = [figures(update) for update in during if figures(update) != figures(before)]
    assert not wrong[:1], "only the right numbers ever reach a client"
    assert not client.of("stream_error")
    return during


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("source", UPSTREAMS)
async def test_an_upstream_that_misbehaves(server, simulator, source, fault):
    async def start():
        simulator.set_fault(source, FAULTS[fault])

    async def end():
        simulator.clear_faults(source)

    async with listening(server.url) as client:
        await client.io.call("subscribe_pnl")
        await watch_outage(server, client, source, start, end)


@pytest.mark.parametrize("source", UPSTREAMS)
async def test_an_upstream_that_is_killed_and_comes_back(server, simulator, source):
    async with listening(server.url) as client:
        await client.io.call("subscribe_pnl")
        await watch_outage(server, client, source, lambda: simulator.kill(source), lambda: simulator.revive(source))


async def test_a_failure_is_logged_once_however_long_it_lasts(server, simulator):
    simulator.set_fault("johns", Fault.status(500))
    await server.until(
        "/api/circuit-breaker/status", lambda a: a["data"]["services"]["johns_revenue"]["state"] == "OPEN"
    )
    simulator.clear_faults("johns")
    await server.until("/api/pnl/current", lambda a: a["data"]["sources"]["johns"]["status"] == "live")
    lines = [line for line in server.log.splitlines() if "johns_revenue" in line]
    assert sum("WARNING" in line or "ERROR" in line for line in lines) <= 2, lines


async def test_a_restart_during_an_outage_shows_the_last_good_figures_with_their_age(server, simulator):
    before = (await server.get("/api/pnl/current"))["data"]
    for source in UPSTREAMS:
        await simulator.kill(source)
    assert await server.stop() == 0
    await server.start()
    first = (await server.get("/api/pnl/current"))["data"]
    assert first["netPnL"] == before["netPnL"]
    later = await server.until("/api/pnl/current", lambda a: a["data"]["sources"]["kalshi"]["status"] == "stale")
    assert figures(later) == figures({"data": before})
    assert later["data"]["degraded"] == []
    assert later["data"]["sources"]["kalshi"]["tier"] in ("sqlite", "fallback", "memory")


async def test_an_open_breaker_allows_one_trial(server, simulator):
    simulator.set_fault("johns", Fault.status(500))
    await server.until(
        "/api/circuit-breaker/status", lambda a: a["data"]["services"]["johns_revenue"]["state"] == "OPEN"
    )
    asked = sum(simulator.requests["johns"].values())
    failed = (await server.get("/api/circuit-breaker/status"))["data"]["services"]["johns_revenue"]["lastFailureTime"]
    await server.until(
        "/api/circuit-breaker/status",
        lambda a: a["data"]["services"]["johns_revenue"]["lastFailureTime"] > failed,
    )
    assert sum(simulator.requests["johns"].values()) == asked + 1
