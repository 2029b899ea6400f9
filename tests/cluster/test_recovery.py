"""A client that lost its node goes on at another one with exactly what it missed, by each of the three ways."""

import json

import aiohttp

from tests.cluster.installation import Cluster
from tests.support.clients import listening
from tests.waiting import until


async def two_nodes(installation: Cluster):
    """The leader, and the node that will lead."""
    await installation.node()
    await installation.node()
    leader = await installation.leader()
    await leader.until("/api/pnl/current", lambda shown: shown["data"]["seq"] > 3)
    (other,) = installation.others(leader)
    return leader, other


async def test_since(installation: Cluster) -> None:
    leader, other = await two_nodes(installation)
    async with installation.watching(leader) as watcher:
        await watcher.sees_more()
        await leader.kill()
        epoch, seq = watcher.seen[-1]
    assert await installation.leader() is other
    async with listening(other.url, transports=["websocket"]) as client:
        said = await client.io.call("subscribe_pnl", {"since": {"epoch": epoch, "seq": seq}})
        assert said["recovered"] is True
        await until(lambda: len(client.of("pnl_update")) > 5)
        numbers = [each["data"]["seq"] for each in client.of("pnl_update")]
    assert numbers == list(range(seq + 1, seq + 1 + len(numbers)))


async def test_the_recovery_of_socket_io(installation: Cluster) -> None:
    """The secret that seals a session is the ledger's, so that every node knows it."""
    leader, other = await two_nodes(installation)
    offsets: list[str] = []
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{leader.url}/socket.io/?EIO=4&transport=websocket") as socket:
            await socket.receive()
            await socket.send_str('40/pnl,{"recovery":true}')
            welcome = json.loads((await socket.receive_str()).removeprefix("40/pnl,"))
            while len(offsets) < 4:
                text = await socket.receive_str()
                if text.startswith("42/pnl,"):
                    offsets.append(json.loads(text.removeprefix("42/pnl,"))[-1])
            await leader.kill()
        assert await installation.leader() is other
        async with session.ws_connect(f"{other.url}/socket.io/?EIO=4&transport=websocket") as socket:
            await socket.receive()
            asked = {"recovery": True, "pid": welcome["pid"], "offset": offsets[-1]}
            await socket.send_str(f"40/pnl,{json.dumps(asked)}")
            again = json.loads((await socket.receive_str()).removeprefix("40/pnl,"))
            assert (again["sid"], again["pid"]) == (welcome["sid"], welcome["pid"])
            numbers: list[int] = []
            while len(numbers) < 5:
                text = await socket.receive_str()
                if text.startswith('42/pnl,["pnl_update"'):
                    numbers.append(json.loads(text.removeprefix("42/pnl,"))[1]["data"]["seq"])
    last = int(offsets[-1].partition("-")[2].partition("_")[0])
    assert numbers == list(range(last + 1, last + 6))


async def test_last_event_id(installation: Cluster) -> None:
    """A delta's `prevSeq` is the number that the client holds."""
    leader, other = await two_nodes(installation)
    epoch, seq = (await leader.get("/api/pnl/current"))["data"]["epoch"], 2
    await leader.kill()
    assert await installation.leader() is other
    held = seq
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{other.url}/api/pnl/stream", headers={"Last-Event-ID": f"{epoch}-{seq}"}) as response,
    ):
        deltas = 0
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            message = json.loads(line.removeprefix(b"data: "))
            assert message["type"] == "delta", message
            assert message["data"]["prevSeq"] == held
            held, deltas = message["data"]["seq"], deltas + 1
            if deltas == 5:
                break
    assert held > seq
