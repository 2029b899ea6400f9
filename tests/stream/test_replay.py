"""Whatever is published and however often a client is disconnected: it has the newest, and every gap was marked."""

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pnl_backend.domain.money import number
from tests.stream.readers import SocketReader, StreamReader, Subscriber
from tests.stream.stage import staged

READERS = 5
AMOUNTS = st.sampled_from(["1000", "1000.01", "999.99", "2500"])
DEEDS = st.one_of(
    st.tuples(st.just("publish"), AMOUNTS, st.just(True)),
    st.tuples(st.just("publish"), AMOUNTS, st.booleans()),
    st.tuples(st.just("cut"), st.integers(0, READERS - 1), st.none()),
    st.tuples(st.just("back"), st.integers(0, READERS - 1), st.booleans()),
)


def readers():
    return [Subscriber(recovery=False), Subscriber(recovery=True), SocketReader(), StreamReader(), StreamReader()]


async def play(deeds, ring):
    with tempfile.TemporaryDirectory() as directory:
        async with staged(Path(directory) / "pnl.db", ring=ring) as stage:
            clients = readers()
            for client in clients:
                await client.begin(stage.port, remember=False)
            for deed, what, how in deeds:
                if deed == "publish":
                    await stage.publish(what, stored=how)
                elif deed == "cut":
                    await clients[what].cut()
                elif not clients[what].connected:
                    await clients[what].begin(stage.port, remember=how)
            for client in clients:
                if not client.connected:
                    await client.begin(stage.port, remember=True)
            await stage.publish("1234.56")
            newest = stage.newest
            for client in clients:
                await client.until(newest.seq, number(newest.net_pnl))
            for client in clients:
                await client.cut()


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deeds=st.lists(DEEDS, max_size=25), ring=st.sampled_from([2, 5, 1000]))
def test_what_a_client_assembles_is_the_newest_and_every_gap_is_marked(deeds, ring):
    asyncio.run(play(deeds, ring))


async def test_a_gap_between_ledger_and_ring_is_reported(tmp_path):
    """Published while the ledger could not be written, and more than the ring holds: nobody may call that recovered."""
    async with staged(tmp_path / "pnl.db", ring=3) as stage:
        client = Subscriber(recovery=False)
        await client.begin(stage.port, remember=False)
        await client.cut()
        for cents in range(6):
            await stage.publish(Decimal(cents) / 100 + 1000, stored=False)
        await client.begin(stage.port, remember=True)
        await client.until(stage.newest.seq, number(stage.newest.net_pnl))
        assert client.announced == 2
        await client.cut()


async def test_the_ledger_and_the_ring_together_leave_no_gap(tmp_path):
    async with staged(tmp_path / "pnl.db", ring=3) as stage:
        clients = [Subscriber(recovery=False), Subscriber(recovery=True), StreamReader()]
        for client in clients:
            await client.begin(stage.port, remember=False)
            await client.until(stage.newest.seq, number(stage.newest.net_pnl))
            await client.cut()
        for cents in range(5):
            await stage.publish(Decimal(cents) / 100 + 1001)
        for cents in range(2):
            await stage.publish(Decimal(cents) / 100 + 1002, stored=False)
        for client in clients:
            await client.begin(stage.port, remember=True)
            await client.until(stage.newest.seq, number(stage.newest.net_pnl))
            assert client.announced == 1
            await client.cut()


async def test_what_is_too_old_to_recover_after_a_restart_is_replayed_on_request(tmp_path):
    client = Subscriber(recovery=True)
    async with staged(tmp_path / "pnl.db") as stage:
        await client.begin(stage.port, remember=False)
        await client.until(stage.newest.seq, number(stage.newest.net_pnl))
        sid = client.sid
        await client.cut()
        await stage.publish("1001")
    async with staged(tmp_path / "pnl.db") as stage:
        # Over a restart the age is read off the wall clock, and these snapshots are of long ago.
        await client.begin(stage.port, remember=True)
        await client.until(stage.newest.seq, number(stage.newest.net_pnl))
        assert client.sid != sid
        assert client.announced == 1
        await client.cut()
