"""Connection state recovery, packet by packet."""

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from pnl_backend.stream.recovery import Offset, Seal
from tests.stream.stage import staged
from tests.waiting import PATIENCE


class Raw:
    """A Socket.IO client by hand on one namespace."""

    def __init__(self, raw, namespace):
        self.raw = raw
        self.prefix = "" if namespace == "/" else f"{namespace},"
        self.answer = {}
        self.offset = None

    async def connect(self, auth):
        assert str(await self.raw.recv()).startswith("0")
        await self.raw.send(f"40{self.prefix}{orjson.dumps(auth).decode()}")
        text = str(await self.raw.recv())
        self.answer = orjson.loads(text.removeprefix(f"40{self.prefix}"))
        return self

    async def emit(self, *event):
        await self.raw.send(f"42{self.prefix}{orjson.dumps(event).decode()}")

    async def event(self):
        """The next event with its data; its offset is kept."""
        async with asyncio.timeout(PATIENCE):
            text = str(await self.raw.recv())
        name, data, self.offset = orjson.loads(text.removeprefix(f"42{self.prefix}"))
        return name, data

    @property
    def again(self):
        return {"recovery": True, "pid": self.answer["pid"], "offset": self.offset}


@asynccontextmanager
async def raw_client(stage, auth, namespace="/"):
    url = f"ws://127.0.0.1:{stage.port}/socket.io/?EIO=4&transport=websocket"
    async with connect(url, close_timeout=0.1) as raw:
        yield await Raw(raw, namespace).connect(auth)


@pytest.fixture
async def stage(tmp_path):
    """With an update that this process has published, for its age is what recovery goes by."""
    async with staged(tmp_path / "pnl.db") as played:
        await played.publish("1000.50")
        yield played


NEW = {"recovery": True}
OVER_BUDGET = 80
"""Messages at once: more than a socket may send, fewer than close it."""


async def test_rooms_are_those_at_the_cut(stage):
    async with raw_client(stage, NEW) as client:
        assert (await client.event())[0] == "connect_success"
        for topic in ("pnl", "components", "dashboard"):
            await client.emit(f"subscribe_{topic}")
            await client.event()
        await client.emit("unsubscribe_pnl")
        assert await client.event() == ("subscriptions", {"topics": ["components", "dashboard"]})
    await stage.publish("1001")
    async with raw_client(stage, client.again) as back:
        assert back.answer == client.answer
        greeting = await back.event()
        assert greeting[1]["clientId"] == client.answer["sid"]
        missed = [await back.event(), await back.event()]
        assert [name for name, _ in missed] == ["components_update", "pnl-update"]
        assert missed[0][1]["source"] == "replay"
        assert missed[1][1]["seq"] == missed[0][1]["data"]["seq"] == stage.newest.seq
        await stage.publish("1002")
        names = [(await back.event())[0] for _ in range(2)]
        assert names == ["components_update", "pnl-update"]


async def test_a_cut_in_the_middle_of_a_replay_loses_and_repeats_nothing(stage):
    async with raw_client(stage, NEW) as client:
        await client.event()
        await client.emit("subscribe_pnl")
        await client.event()
    for cents in range(5):
        await stage.publish(f"1001.0{cents}")
    seqs = []
    for _ in range(5):
        async with raw_client(stage, client.again) as back:
            assert back.answer == client.answer
            await back.event()
            _, message = await back.event()
            seqs.append(message["data"]["seq"])
            client.offset = back.offset
    assert seqs == list(range(seqs[0], seqs[0] + 5))
    async with raw_client(stage, client.again) as back:
        await back.event()
        await stage.publish("1009")
        _, message = await back.event()
        assert (message["source"], message["data"]["seq"]) == ("stream", seqs[-1] + 1)


async def test_a_client_that_reconnects_before_the_loss_was_detected_replaces_its_connection(stage):
    async with raw_client(stage, NEW) as former:
        await former.event()
        await former.emit("subscribe_pnl")
        await former.event()
        async with raw_client(stage, former.again) as back:
            assert back.answer == former.answer
            assert await asyncio.wait_for(former.raw.recv(), PATIENCE) == "41"
            with pytest.raises(ConnectionClosed):  # it has the connect timeout to join a namespace again
                await asyncio.wait_for(former.raw.recv(), PATIENCE)
            await back.event()
            await stage.publish("1001")
            assert (await back.event())[1]["source"] == "stream"
            await back.emit("unsubscribe_pnl")
            assert (await back.event())[0] == "subscriptions"


async def test_the_other_namespaces_of_the_former_socket_go_on(stage):
    async with raw_client(stage, NEW) as former:
        await former.event()
        await former.raw.send("40/pnl,")
        async with asyncio.timeout(PATIENCE):
            while not str(await former.raw.recv()).startswith("42/pnl,"):
                """The answer, the greeting and the first update."""
        async with raw_client(stage, former.again) as back:
            assert back.answer == former.answer
            await stage.publish("1001")
            seen = []
            async with asyncio.timeout(PATIENCE):
                while not seen or "stream" not in seen[-1]:
                    seen.append(str(await former.raw.recv()))
            assert "41" in seen
            assert seen[-1].startswith("42/pnl,")


async def test_a_socket_that_was_not_cut_does_not_recover_from_itself(stage):
    """On a second CONNECT with its own pid the client goes on, with a new socket."""
    async with raw_client(stage, NEW) as client:
        await client.event()
        await client.raw.send("40/pnl,")
        await client.raw.send(f"40{orjson.dumps(client.again).decode()}")
        async with asyncio.timeout(PATIENCE):
            while not (text := str(await client.raw.recv())).startswith("40{"):
                """What the other namespace is sent."""
        answer = orjson.loads(text[2:])
        assert answer["sid"] != client.answer["sid"]
        await client.emit("subscribe_pnl")
        async with asyncio.timeout(PATIENCE):
            while not str(await client.raw.recv()).startswith('42["pnl_update"'):
                """The greeting."""
        await stage.publish("1001")
        seen = [str(await client.raw.recv()) for _ in range(2)]
        assert {text.partition(",")[0] for text in seen} == {"42/pnl", '42["pnl_update"'}


@pytest.mark.parametrize("namespace", ["/pnl", "/components", "/dashboard"])
async def test_a_namespace_is_recovered_as_a_subscription(stage, namespace):
    async with raw_client(stage, NEW, namespace) as client:
        await client.event()
        name, _ = await client.event()
    await stage.publish("1001")
    async with raw_client(stage, client.again, namespace) as back:
        assert back.answer == client.answer
        await back.event()
        missed, _ = await back.event()
        assert missed == name
    async with raw_client(stage, client.again, "/") as elsewhere:
        assert elsewhere.answer["sid"] != client.answer["sid"], "a pid serves the namespace it was given for"


async def test_a_subscription_that_is_level_already_is_recovered_too(stage):
    """The replay of nothing sends no update, so the offset comes by itself."""
    async with raw_client(stage, NEW) as client:
        await client.event()
        since = {"since": {"epoch": stage.newest.epoch, "seq": stage.newest.seq}}
        await client.emit("subscribe_pnl", since)
        assert await client.event() == ("subscriptions", {"topics": ["pnl"]})
    async with raw_client(stage, client.again) as back:
        await back.event()
        await stage.publish("1001")
        assert (await back.event())[0] == "pnl_update"


@pytest.mark.parametrize(
    "text",
    [None, 5, "", "x", "epoch", "epoch-", "epoch-1_", "epoch-1_p", "epoch-1_p1x", "e-1" * 200, "epoch-1_p\u0661", []],
)
async def test_an_offset_that_is_none(stage, text):
    assert Offset.parse(text) is None
    async with raw_client(stage, NEW) as client:
        await client.event()
    async with raw_client(stage, {**client.again, "offset": text}) as back:
        assert back.answer["sid"] != client.answer["sid"]


async def test_offsets_of_the_future_and_of_elsewhere_start_afresh(stage):
    async with raw_client(stage, NEW) as client:
        await client.event()
    epoch = stage.newest.epoch
    for text in (f"{epoch}-99_p99", f"{epoch}-2_p99", "elsewhere-2_p2", f"{epoch}-2_q2", f"{epoch}-0"):
        async with raw_client(stage, {**client.again, "offset": text}) as back:
            assert back.answer["sid"] != client.answer["sid"]


def test_a_pid_is_bound_to_its_secret_key_and_namespace():
    seal = Seal(b"one")
    pid = seal.pid("somebody", namespace="/", key="k")
    assert seal.sid(pid, namespace="/", key="k") == "somebody"
    assert seal.sid(pid, namespace="/pnl", key="k") is None
    assert seal.sid(pid, namespace="/", key="other") is None
    assert Seal(b"two").sid(pid, namespace="/", key="k") is None
    for forged in ("", ".", "somebody", "somebody.", pid + "x", "x" + pid, None, 7, "ä" + pid):
        assert seal.sid(forged, namespace="/", key="k") is None


async def test_a_socket_that_takes_over_has_its_own_budget_and_lookups(tmp_path):
    """Its predecessor, still connected, ends with its budget spent; its disconnect handler runs for the same id."""
    async with staged(tmp_path / "pnl.db", ring=2) as stage:
        first = stage.newest.seq
        for number in range(6):
            await stage.publish(1001 + number)
        async with raw_client(stage, NEW) as client:
            await client.event()
            for _ in range(OVER_BUDGET):
                await client.emit("unknown")
            assert "rate_limited" in str(await client.raw.recv())
            async with raw_client(stage, client.again) as back:
                assert back.answer == client.answer, "the same socket"
                since = {"epoch": stage.store.epoch, "seq": first}  # only the ledger has it: it is looked up
                await back.emit("subscribe_pnl", {"since": since})
                assert (await back.event())[0] == "connect_success"
                assert [(await back.event())[1]["source"] for _ in range(6)] == ["replay"] * 6
                for _ in range(OVER_BUDGET):
                    await back.emit("unknown")
                assert "rate_limited" in str(await back.raw.recv())
