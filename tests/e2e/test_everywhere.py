"""One change of John's revenue, followed from the simulator to every kind of client."""

from contextlib import AsyncExitStack

from pnl_backend.domain.money import number
from tests.support.clients import Listener, listening
from tests.support.feeds import event_stream, plain_socket


async def test_one_change_is_the_same_everywhere(server, simulator):
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(listening(server.url))
        namespaced = Listener()
        namespaced.io.on("*", namespaced._note, namespace="/pnl")
        await namespaced.io.connect(server.url, namespaces=["/pnl"])
        stack.push_async_callback(namespaced.io.disconnect)
        socket = await stack.enter_async_context(plain_socket(server.url))
        events = await stack.enter_async_context(event_stream(server.url))
        board = await stack.enter_async_context(plain_socket(server.url, "/pnl-stream"))
        for event in ("subscribe_pnl", "subscribe_components", "subscribe_dashboard"):
            assert (await client.io.call(event))["ok"]
        ledger = (await socket.read())["data"]
        streamed = (await events.read()).data["data"]
        await board.read()

        before = simulator.truth().johns.collected
        while (collected := simulator.truth().johns.collected) == before:
            simulator.step()
        wanted = number(collected)

        update = await client.until(
            lambda c: next(
                (u for u in c.of("pnl_update") if u["data"]["components"]["johns"]["collected"] == wanted), None
            )
        )
        # The newest of the ledger's sums to settle on: what Kalshi and Anthropic moved came within a few ticks.
        settled = await server.until(
            "/api/pnl/history?limit=4",
            lambda a: (
                len({row["netPnL"] for row in a["data"]["data"]}) == 1
                and a["data"]["data"][0]["components"]["johns"]["collected"] == wanted
                and a["data"]["data"][0]["seq"] > update["data"]["seq"]
            ),
        )
        rows = {row["seq"]: row for row in (await server.get("/api/pnl/history?limit=1000"))["data"]["data"]}
        final = settled["data"]["data"][-1]
        net, place = final["netPnL"], (final["epoch"], final["seq"])

        for listener in (client, namespaced):
            await listener.until(lambda c: any(u["data"]["seq"] >= place[1] for u in c.of("pnl_update")))
            for message in listener.of("pnl_update"):
                if (row := rows.get(message["data"]["seq"])) is not None:
                    assert message["data"] == row
        await client.until(lambda c: any(m["seq"] >= place[1] for m in c.of("pnl-update")))
        for message in client.of("pnl-update"):
            if (row := rows.get(message["seq"])) is not None:
                assert (message["epoch"], message["netPnL"]) == (row["epoch"], row["netPnL"])
        (breakdown,) = [m["data"] for m in client.of("components_update") if m["data"]["seq"] == place[1]]
        assert breakdown["summary"]["netPnL"] == net
        assert breakdown["epoch"] == place[0]
        shown = await board.until(lambda m: m["seq"] == place[1])
        assert (shown["epoch"], shown["netPnL"]) == (place[0], net)

        for held, read in ((ledger, socket.read), (streamed, lambda: _data(events))):
            # Only a change by a cent is told: each place on this feed stands in the ledger with the same figures.
            while held["netPnL"] != net or held["totalRevenue"] != wanted:
                message = await read()
                held = message["data"] if message["type"] == "snapshot" else _applied(held, message["data"])  # noqa: PLW2901 - it is what the client holds
                row = rows[held["seq"]]
                assert (held["epoch"], held["netPnL"]) == (row["epoch"], row["netPnL"])
        current = (await server.get("/api/pnl/current"))["data"]
        assert (current["epoch"], current["netPnL"]) == (place[0], net)
        assert (await server.get("/api/pnl/breakdown"))["data"]["summary"]["netPnL"] == net


async def _data(events):
    event = await events.read()
    assert event.id.endswith(f"-{event.data['data']['seq']}")
    return event.data


def _applied(held, delta):
    assert delta["prevSeq"] == held["seq"]
    return {
        **held,
        "seq": delta["seq"],
        "netPnL": round(held["netPnL"] + delta["netPnLDelta"], 2),
        "totalRevenue": round(held["totalRevenue"] + delta["revenueDelta"], 2),
    }
