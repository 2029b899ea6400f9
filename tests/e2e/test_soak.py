"""A minute of mixed clients at production's limits: afterwards the server has as many resources in use as before."""

import pytest

from bench.soak import COUNTS, soak
from tests.support.server import ServerProcess

SECONDS = 60.0
EACH = 12
WATCHED = 12.0
"""Seconds without clients before the load in which the lowest counts are taken, and the same after it at least."""
GROWTH = 16 * 1024 * 1024
"""Bytes that memory may grow by: the ring, which is not full yet, and what Python keeps of its peak."""


@pytest.mark.slow(110)
@pytest.mark.timeout(400)
async def test_nothing_is_left_of_clients_that_disconnected(tmp_path):
    server = ServerProcess(tmp_path, DEMO="true", UPDATE_INTERVAL_MS="1000")
    await server.start()
    try:
        report = await soak(server.url, SECONDS, each=EACH, watched=WATCHED)
        assert not report.soak.faults, report.soak.faults[:5]
        assert report.soak.replaced <= report.after.replaced, "what came as a newer one was counted"
        assert min(report.soak.visits.values()) >= EACH
        assert all(report.soak.updates[kind] > 0 for kind in ("websocket", "polling", "plain", "events"))
        assert {
            name: report.after.counts[name] for name in COUNTS if report.after.counts[name] > report.before.counts[name]
        } == {}
        assert report.after.memory < report.before.memory + GROWTH
        await server.get("/api/pnl/current")
    finally:
        await server.close()
    assert "Traceback" not in server.log, server.log[-4000:]
    assert " ERROR " not in server.log, server.log[-4000:]
