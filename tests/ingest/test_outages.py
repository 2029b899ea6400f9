"""Each fetcher behind its guard while its upstream is killed, hung and fed garbage, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from pnl_backend.domain.readings import SourceName
from pnl_backend.ingest.guard import Guard
from pnl_backend.simulator import Fault, Simulator
from pnl_backend.sources.anthropic.fetcher import AnthropicFetcher
from pnl_backend.sources.base import NoClosedDays, UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer
from pnl_backend.sources.revenue.fetcher import RevenueFetcher
from tests.sources.support import Cache, Clock
from tests.support.snapshots import guarded
from tests.waiting import PATIENCE

SOURCES = ("kalshi", "anthropic", "johns")


@pytest.fixture
def mono() -> Clock:
    return Clock(0.0)


@pytest.fixture
def make(session: aiohttp.ClientSession, simulator: Simulator, mono: Clock) -> Callable[..., Guard[Any]]:
    """Makes a guard around the real fetcher of a source; a call may take `seconds`, a fetch twice that."""
    return lambda source, seconds=PATIENCE: guarded(
        source,
        fetchers(UpstreamClient(session, timeout=seconds), simulator)[source],
        Cache(),
        poll_interval=15,
        timeout=2 * seconds,
        monotonic=mono,
    )


def fetchers(client: UpstreamClient, simulator: Simulator) -> dict[SourceName, Any]:
    keys = simulator.credentials()
    signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem)
    since = datetime.now(UTC).date() - timedelta(days=3)
    return {
        "kalshi": KalshiFetcher(client, base_url=simulator.kalshi_url, signer=signer),
        "anthropic": AnthropicFetcher(
            client,
            base_url=simulator.anthropic_url,
            api_key=keys.anthropic_key,
            since=since,
            closed_days=NoClosedDays(),
        ),
        "johns": RevenueFetcher(client, url=simulator.revenue_url, token=keys.revenue_token),
    }


@pytest.mark.parametrize("source", SOURCES)
async def test_a_killed_upstream_is_stale_then_cut_off_then_back(make, simulator: Simulator, mono: Clock, source):
    guard = make(source)
    good = await guard.read()
    assert good.status == "live"

    await simulator.kill(source)
    simulator.step(5)
    for failures in range(1, 6):
        mono.at += 15
        reading = await guard.read()
        assert (reading.value, reading.status) == (good.value, "stale")
        assert "cannot be reached" in reading.error
        assert guard.status().failure_count == failures
    assert guard.status().state == "OPEN"

    await simulator.revive(source)
    asked = simulator.requests[source].total()
    mono.at += 59
    assert (await guard.read()).status == "stale"
    assert simulator.requests[source].total() == asked
    mono.at += 1
    back = await guard.read()
    assert back.status == "live"
    assert guard.status().state == "CLOSED"
    await guard.close()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "fault",
    [
        Fault.garbage(),
        Fault.truncated(),
        Fault.html(),
        Fault.nan(),
        Fault.infinity(),
        Fault.too_big(gzip=True),
        Fault.redirect(),
        Fault.status(500),
        Fault.cut(),
        Fault.close(),
    ],
    ids=lambda fault: fault.kind,
)
async def test_garbage_never_becomes_a_figure(make, simulator: Simulator, mono: Clock, source, fault):
    guard = make(source)
    good = await guard.read()
    simulator.set_fault(source, fault)
    simulator.step(20)
    mono.at += 15
    reading = await guard.read()
    assert (reading.value, reading.status) == (good.value, "stale")
    assert reading.error
    simulator.clear_faults()
    mono.at += 15
    assert (await guard.read()).status == "live"
    await guard.close()


@pytest.mark.parametrize("source", SOURCES)
async def test_a_hanging_upstream_does_not_delay_callers_that_do_not_wait(
    make, simulator: Simulator, mono: Clock, source
):
    guard = make(source, 3)  # which is also how long this test takes
    good = await guard.read()
    simulator.set_fault(source, Fault.hang())
    mono.at += 15
    for _ in range(20):
        assert (await guard.read(patience=0)).value == good.value
    reading = await guard.read()
    assert (reading.value, reading.status) == (good.value, "stale")
    assert "did not answer" in reading.error
    assert guard.status().failure_count == 1
    await guard.close()
