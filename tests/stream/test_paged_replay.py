"""Replays packet by packet: beside live updates, cut in the middle, superseded, and of what is no longer held."""

import asyncio
import contextlib
import json
import time
from collections import defaultdict

import aiohttp
import pytest
import socketio

from pnl_backend.domain.money import number
from tests.engine.client import Closed, PollingClient
from tests.engine.engineio.test_queue import PACKETS
from tests.stream.readers import StreamReader
from tests.stream.stage import staged
from tests.stream.test_recovery import NEW, raw_client
from tests.stream.test_slow import deaf, upgrade
from tests.waiting import PATIENCE, until

DAY = 86_400_000
MISSED = 300
EVENTS = {"pnl": "pnl_update", "components": "components_update", "dashboard": "pnl-update"}


@pytest.fixture
async def stage(tmp_path):
    """With fewer updates in memory than a client misses."""
    async with staged(tmp_path / "pnl.db", ring=50) as played:
        await played.publish("1000.50", at=int(time.time() * 1000))
        yield played


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def publish(stage, count):
    for step in range(count):
        await stage.publish(1000 + step % 7)


def since(stage, seq):
    return {"since": {"epoch": stage.newest.epoch, "seq": seq}}


def seq_of(data):
    return data["data"]["seq"] if "data" in data else data["seq"]


class Polling:
    """A Socket.IO client that polls when the test says so."""

    def __init__(self, raw):
        self.raw = raw
        self.events = []
        self.acknowledged = {}
        self.answer = {}

    async def emit(self, *event, ack):
        await self.raw.send(f"42{ack}{json.dumps(event)}")

    async def poll(self):
        """One answer: events are kept, acknowledgements too; raises Closed at the end of the session."""
        status, body = await self.raw.poll()
        if status != 200:
            raise Closed
        parts = body.split("\x1e")
        assert len(parts) <= PACKETS
        for part in parts:
            if part.startswith("40"):
                self.answer = json.loads(part[2:])
            elif part.startswith("42"):
                self.events.append(json.loads(part[2:]))
            elif part.startswith("43"):
                digits = part[2 : part.index("[")]
                (self.acknowledged[int(digits)],) = json.loads(part[part.index("[") :])
        return len(parts)

    async def until(self, holds):
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await self.poll()

    def seqs(self, event="pnl_update"):
        return [seq_of(data) for name, data, *_ in self.events if name == event]


@contextlib.asynccontextmanager
async def polling(stage, http, **auth):
    client = Polling(await PollingClient(http, f"{stage.url}/socket.io/").open())
    await client.raw.send("40" + json.dumps(auth))
    await client.until(lambda: client.events)
    yield client


async def test_python_s_polling_client_gets_all_while_updates_go_on(stage):
    """It refuses a payload of more than sixteen packets."""
    seen, sources = [], []
    first = stage.newest.seq
    await publish(stage, MISSED)
    client = socketio.AsyncClient(reconnection=False)

    def update(message):
        seen.append(message["data"]["seq"])
        sources.append(message["source"])

    client.on("pnl_update", update)
    await client.connect(stage.url, transports=["polling"])
    asking = asyncio.create_task(client.call("subscribe_pnl", since(stage, first), timeout=30))
    published = 0
    while not asking.done():
        await stage.publish(2000 + published % 3)
        published += 1
        await asyncio.sleep(0.005)
    assert (await asking)["recovered"] is True
    await until(lambda: seen[-1] == stage.newest.seq)
    replayed = sources.count("replay")
    assert replayed > MISSED, "what was published meanwhile is replayed as well"
    assert seen[:replayed] == list(range(first + 1, first + 1 + replayed))
    assert set(sources[replayed:]) <= {"stream"}
    assert seen == sorted(set(seen))
    for _ in range(3):
        await stage.publish(3000)
        await until(lambda: seen[-1] == stage.newest.seq)
    assert sources[-3:] == ["stream"] * 3
    await client.disconnect()


async def test_cuts_in_the_middle_of_the_replay_of_several_topics(stage):
    seqs = defaultdict(list)
    async with raw_client(stage, NEW) as client:
        await client.event()
        for topic in EVENTS:
            await client.emit(f"subscribe_{topic}")
            name, data = await client.event()
            seqs[name].append(seq_of(data))
    await publish(stage, MISSED)
    while len(seqs["pnl-update"]) <= MISSED:
        async with raw_client(stage, client.again) as back:
            assert back.answer == client.answer
            await back.event()
            for _ in range(100):
                name, data = await back.event()
                seqs[name].append(seq_of(data))
                client.offset = back.offset
                if seqs["pnl-update"][-1] == stage.newest.seq:
                    break
    for name in EVENTS.values():
        assert seqs[name] == list(range(seqs[name][0], stage.newest.seq + 1)), name


async def test_a_subscriber_of_another_topic_is_cut_in_the_middle_of_a_replay(stage):
    """An offset names all that its reader is in, so that neither topic is forgotten."""
    seqs = defaultdict(list)
    first = stage.newest.seq
    await publish(stage, MISSED)
    async with raw_client(stage, NEW) as client:
        await client.event()
        await client.emit("subscribe_components")
        await client.event()
        level = stage.newest.seq
        await client.emit("subscribe_pnl", since(stage, first))
        for _ in range(20):
            name, data = await client.event()
            seqs[name].append(seq_of(data))
        await stage.publish(2000)
    async with raw_client(stage, client.again) as back:
        assert back.answer == client.answer
        await back.event()
        while len(seqs["pnl_update"]) + len(seqs["components_update"]) < MISSED + 2:
            name, data = await back.event()
            seqs[name].append(seq_of(data))
        await stage.publish(2001)
        for _ in range(2):
            name, data = await back.event()
            assert data["source"] == "stream"
            seqs[name].append(seq_of(data))
    assert seqs == {
        "pnl_update": list(range(first + 1, stage.newest.seq + 1)),
        "components_update": list(range(level + 1, stage.newest.seq + 1)),
    }


@pytest.mark.parametrize("namespace", ["/pnl", "/components", "/dashboard"])
async def test_a_namespace_replays_on_request(stage, namespace):
    topic = namespace[1:]
    first = stage.newest.seq
    await publish(stage, MISSED)
    async with raw_client(stage, NEW, namespace) as client:
        await client.event()
        assert seq_of((await client.event())[1]) == stage.newest.seq
        await client.emit(f"subscribe_{topic}", since(stage, first))
        events = [await client.event() for _ in range(MISSED)]
        assert {name for name, _ in events} == {EVENTS[topic]}
        assert [seq_of(data) for _, data in events] == list(range(first + 1, stage.newest.seq + 1))
        await stage.publish(2000)
        assert seq_of((await client.event())[1]) == stage.newest.seq


async def prune(stage):
    """Let the ledger keep the newest rows alone."""
    stage.now += 40 * DAY
    assert await stage.store.prune(1, replay_rows=10) > 0


async def test_what_is_pruned_during_a_replay_is_reported(stage, http):
    first = stage.newest.seq
    await publish(stage, MISSED)
    async with polling(stage, http, recovery=False) as client:
        await client.emit("subscribe_pnl", since(stage, first), ack=1)
        await client.until(client.seqs)
        await prune(stage)
        await client.until(lambda: 1 in client.acknowledged)
        assert client.acknowledged[1]["recovered"] is False
        *replayed, last = client.seqs()
        assert replayed == list(range(first + 1, first + 1 + len(replayed)))
        assert len(replayed) < MISSED
        assert last == stage.newest.seq
        assert client.events[-1][1]["source"] == "initial"
        await stage.publish(2000)
        await client.until(lambda: client.seqs()[-1] == stage.newest.seq)
        assert client.events[-1][1]["source"] == "stream"


async def test_a_client_whose_missed_updates_are_pruned_is_not_recovered(stage, http):
    async with raw_client(stage, NEW) as client:
        await client.event()
        await client.emit("subscribe_pnl")
        await client.event()
    await publish(stage, MISSED)
    async with polling(stage, http, **client.again) as back:
        assert back.answer == client.answer
        await back.until(back.seqs)
        await prune(stage)
        with pytest.raises(Closed):
            await back.until(lambda: False)
        client.offset = back.events[-1][-1]
    async with raw_client(stage, client.again) as fresh:
        assert fresh.answer["sid"] != client.answer["sid"]


async def test_leaving_in_the_middle_of_a_replay(stage, http):
    first = stage.newest.seq
    await publish(stage, MISSED)
    async with polling(stage, http) as client:
        await client.emit("subscribe_pnl", since(stage, first), ack=1)
        await client.until(client.seqs)
        await client.emit("unsubscribe_pnl", ack=2)
        await client.until(lambda: {1, 2} <= client.acknowledged.keys())
        assert client.acknowledged[2] == {"ok": True}
        assert client.acknowledged[1]["recovered"] is False
        seen = client.seqs()
        assert len(seen) < MISSED
        await stage.publish(2000)
        await client.emit("subscribe_pnl", ack=3)
        await client.until(lambda: 3 in client.acknowledged)
        assert client.seqs() == [*seen, stage.newest.seq]


async def test_a_later_subscription_replaces_a_replay(stage, http):
    first = stage.newest.seq
    await publish(stage, MISSED)
    async with polling(stage, http) as client:
        await client.emit("subscribe_pnl", since(stage, first), ack=1)
        await client.until(client.seqs)
        await client.emit("subscribe_pnl", since(stage, first + 5), ack=2)
        await client.until(lambda: {1, 2} <= client.acknowledged.keys())
        assert client.acknowledged[1]["recovered"] is False
        assert client.acknowledged[2]["recovered"] is True
        seen = client.seqs()
        again = seen.index(first + 6, seen.index(first + 6) + 1)
        assert seen[:again] == list(range(first + 1, first + 1 + again))
        assert seen[again:] == list(range(first + 6, stage.newest.seq + 1))


async def test_a_client_that_stops_reading_its_replay_is_disconnected_and_continues_from_there(tmp_path):
    async with staged(tmp_path / "pnl.db", slow_client_timeout=0.5) as stage:
        await stage.publish("1000.50")
        first = stage.newest.seq
        await publish(stage, 900)
        text = "42" + json.dumps(["subscribe_pnl", since(stage, first)])
        mask = b"\x81" + bytes([0x82]) + bytes(4) + b"40"
        frame = b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text.encode()
        sock = deaf(stage.port, upgrade("/socket.io/?EIO=4&transport=websocket"))
        sock.sendall(mask)
        sessions = stage.feeds.server.clients
        await until(lambda: any(client.members for client in sessions.values()))
        sock.sendall(frame)
        (session,) = sessions.values()
        most = 0
        while stage.feeds.server.stats().clients:
            connection = session.connection
            if connection is not None and connection.outbox is not None:
                most = max(most, len(connection.outbox.messages))
            await asyncio.sleep(0.01)
        assert stage.feeds.server.stats().slow_disconnects == 1
        assert most < PACKETS, "a replay waits in the ledger, not in memory"
        sock.close()


async def test_an_event_stream_resumes_behind_any_number_of_deltas(stage):
    client = StreamReader()
    await client.begin(stage.port, remember=False)
    await client.until(stage.newest.seq, number(stage.newest.net_pnl))
    await client.cut()
    await publish(stage, MISSED)
    await client.begin(stage.port, remember=True)
    await client.until(stage.newest.seq, number(stage.newest.net_pnl))
    await stage.publish(2000)
    await client.until(stage.newest.seq, number(stage.newest.net_pnl))
    assert client.announced == 1
    await client.cut()


async def test_an_update_that_the_client_has_is_not_sent_again_while_it_is_being_broadcast(stage, monkeypatch):
    """REST shows the newest update before the sockets get it."""
    gate = asyncio.Event()
    closes = stage.store.daily_closes

    async def waiting(days):
        await gate.wait()
        return await closes(days)

    monkeypatch.setattr(stage.store, "daily_closes", waiting)
    publishing = asyncio.create_task(stage.publish(1001, at=stage.now + DAY))
    before = stage.newest.seq
    await until(lambda: stage.newest.seq > before)
    async with raw_client(stage, NEW) as client:
        await client.event()
        await client.emit("subscribe_pnl", since(stage, stage.newest.seq))
        group = stage.feeds.sockets._groups["/"]
        await until(lambda: bool(group._replays))
        gate.set()
        await publishing
        assert await client.event() == ("subscriptions", {"topics": ["pnl"]})
        await stage.publish(1002)
        _, message = await client.event()
        assert (message["source"], message["data"]["seq"]) == ("stream", stage.newest.seq)


@pytest.mark.parametrize(("early", "kind"), [(0.5, "snapshot"), (0.501, "delta")])
async def test_a_tick_half_a_second_early_is_the_key_frame_s(tmp_path, early, kind):
    """Every 60 s all are sent a snapshot; one tick earlier than the half second of slack is a delta yet."""
    async with staged(tmp_path / "pnl.db") as stage:
        await stage.publish(1000)
        feed = stage.feeds.ledger
        now = feed._framed = 0.0
        feed._monotonic = lambda: now
        messages = []
        client = StreamReader()
        client.take = messages.append
        await client.begin(stage.port, remember=False)
        await until(lambda: len(messages) == 1)
        now += 60 - early
        await stage.publish(1001)
        await until(lambda: len(messages) == 2)
        assert [message["type"] for message in messages] == ["snapshot", kind]
        await client.cut()
