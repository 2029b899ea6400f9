"""The age of the newest snapshot that a new subscriber and REST get, whatever the loop does."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from pnl_backend.stream import hub as hub_module
from pnl_backend.stream.hub import Hub
from pnl_backend.stream.topics import snapshot_topics
from pnl_backend.wire.message import encode
from pnl_backend.wire.views import snapshot_view, to_record
from tests.stream.stage import NOON, snapshot_of

PNL = snapshot_topics()[0]


class Clock:
    """The wall clock and the monotonic one, moved by a test; seconds."""

    def __init__(self) -> None:
        self.wall, self.run = NOON / 1000, 100.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.run

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.run += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(hub_module, "time", clock)
    return clock


@pytest.fixture
def hub(clock):
    return Hub(None, stale_after=15.0)


SNAPSHOT = snapshot_of("e1", 7, NOON, Decimal(5))
RECORD = to_record(SNAPSHOT)


def views(hub):
    """What REST and a new subscriber get, which must be the same."""
    rest, initial = json.loads(hub.json("snapshot")), json.loads(PNL.message(hub.latest, "initial"))["data"]
    assert rest == initial == json.loads(encode(snapshot_view(hub.latest.now)))
    return rest


async def test_a_fresh_one_is_sent_as_it_was_committed(hub, clock):
    await hub.publish(SNAPSHOT, RECORD)
    clock.pass_by(0.999)
    assert hub.json("snapshot") == RECORD.data


async def test_its_age_grows_while_nothing_newer_comes_and_what_was_committed_stays(hub, clock):
    await hub.publish(SNAPSHOT, RECORD)
    clock.pass_by(14.5)
    kalshi = views(hub)["sources"]["kalshi"]
    assert (kalshi["status"], kalshi["tier"], kalshi["ageMs"], kalshi["error"]) == ("live", "live", 14_000, None)
    clock.pass_by(0.5)
    kalshi = views(hub)["sources"]["kalshi"]
    assert (kalshi["status"], kalshi["tier"], kalshi["ageMs"]) == ("stale", "memory", 15_000)
    assert "updates have stopped" in kalshi["error"]
    assert hub.latest.record.data == RECORD.data
    assert json.loads(PNL.message(hub.latest, "stream"))["data"]["sources"]["kalshi"]["ageMs"] == 0
    assert json.loads(PNL.message(hub.latest, "replay"))["data"]["sources"]["kalshi"]["status"] == "live"


async def test_it_is_encoded_once_a_second(hub, clock):
    await hub.publish(SNAPSHOT, RECORD)
    clock.pass_by(3.1)
    first = hub.json("snapshot")
    clock.pass_by(0.8)
    assert hub.json("snapshot") is first
    clock.pass_by(0.2)
    assert hub.json("snapshot") is not first


async def test_a_wall_clock_that_is_set_does_not_age_what_this_process_published(hub, clock):
    await hub.publish(SNAPSHOT, RECORD)
    clock.wall += 86_400
    assert hub.json("snapshot") == RECORD.data


@pytest.mark.parametrize("away", [-3600, 0, 90])
def test_a_restored_one_is_never_live_and_as_old_as_it_is(hub, clock, away):
    clock.wall += away
    hub.restore(RECORD)
    for source in views(hub)["sources"].values():
        assert (source["status"], source["tier"], source["ageMs"]) == ("stale", "sqlite", max(away, 0) * 1000)
        assert "restart" in source["error"]
