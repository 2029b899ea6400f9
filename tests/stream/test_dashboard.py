"""The dashboard message: thirty days in every one, over midnight and on the ledger's first day."""

from decimal import Decimal

import pytest

from tests.stream.stage import NOON, staged
from tests.support.clients import Listener, listening
from tests.support.feeds import plain_socket

DAY = 86_400_000


async def test_thirty_days_in_every_message(tmp_path):
    async with staged(tmp_path / "pnl.db") as stage:
        for day in range(1, 33):
            stage.previous = stage.newest
            await stage.publish(1000 + day, at=NOON + day * DAY)
        async with plain_socket(stage.url, "/pnl-stream") as plain, listening(stage.url) as client:
            assert (await client.io.call("subscribe_dashboard"))["ok"]
            first = await plain.read()
            assert client.of("pnl-update") == [first]
            assert len(first["trendsData"]) == 30
            assert [row["revenue"] for row in first["trendsData"]] == [1000.0 + day for day in range(3, 33)]
            assert first["trendsData"][-1]["net"] == first["netPnL"]
            assert first["previousRevenue"] == 1031.0
            assert first["previousNetPnL"] == round(first["previousRevenue"] - first["previousExpenses"], 2)

            await stage.publish(1040)
            second = await plain.read()
            assert second["trendsData"][:-1] == first["trendsData"][:-1]
            assert second["trendsData"][-1] == {
                "date": first["trendsData"][-1]["date"], "revenue": 1040.0, "expenses": 5.25, "net": 1034.75
            }  # fmt: skip

            stage.previous = stage.newest
            await stage.publish(1050, at=NOON + 33 * DAY)
            third = await plain.read()
            assert len(third["trendsData"]) == 30
            assert [row["revenue"] for row in third["trendsData"]][-3:] == [1031.0, 1040.0, 1050.0]
            assert third["previousRevenue"] == 1040.0

            await stage.publish(1060)
            fourth = await plain.read()
            assert [row["revenue"] for row in fourth["trendsData"]][-3:] == [1031.0, 1040.0, 1060.0]
            assert len(fourth["trendsData"]) == 30
            await client.until(lambda c: len(c.of("pnl-update")) == 4)
            assert client.of("pnl-update") == [first, second, third, fourth]
            await plain.send({"type": "ping"})
            assert (await plain.read())["type"] == "pong"


def previous(message):
    return message["previousRevenue"], message["previousExpenses"], message["previousNetPnL"]


def figures(message):
    return message["revenue"], message["expenses"], message["netPnL"]


async def test_the_first_day_is_measured_against_its_first_complete_snapshot(tmp_path):
    """A client that divides by it shows a percentage, also while a source has told nothing yet and after a restart."""
    path = tmp_path / "pnl.db"
    async with staged(path, degraded=True) as stage, plain_socket(stage.url, "/pnl-stream") as plain:
        unknown = await plain.read()
        assert previous(unknown) == figures(unknown)
        await stage.publish(900, degraded=True)
        still = await plain.read()
        assert previous(still) == figures(still) == (900.0, 5.25, 894.75)
        await stage.publish(1000)
        complete = await plain.read()
        assert previous(complete) == figures(complete) == (1000.0, 5.25, 994.75)
        await stage.publish(1250)
        later = await plain.read()
        assert previous(later) == (1000.0, 5.25, 994.75)
        assert len(later["trendsData"]) == 1, "the days that exist"
    async with staged(path) as stage, plain_socket(stage.url, "/pnl-stream") as plain:
        assert previous(await plain.read()) == (1000.0, 5.25, 994.75)
        await stage.publish(1300)
        assert previous(await plain.read()) == (1000.0, 5.25, 994.75)
        stage.previous = stage.newest
        await stage.publish(1400, at=NOON + DAY)
        assert previous(await plain.read()) == (1300.0, 5.25, 1294.75)


@pytest.mark.parametrize("event", ["subscribe_dashboard", "/dashboard"])
async def test_socket_io_gets_the_same_messages(tmp_path, event):
    async with staged(tmp_path / "pnl.db") as stage, plain_socket(stage.url, "/pnl-stream") as plain:
        client = Listener()
        client.io.on("*", client._note, namespace="/dashboard")
        await client.io.connect(stage.url, namespaces=["/" if event == "subscribe_dashboard" else event])
        try:
            if event == "subscribe_dashboard":
                assert (await client.io.call(event))["ok"]
            await client.until(lambda c: c.of("pnl-update"))
            read = [await plain.read()]
            for day in range(1, 4):
                stage.previous = stage.newest
                await stage.publish(Decimal("1000.10") + day, at=NOON + day * DAY)
                read.append(await plain.read())
            await client.until(lambda c: len(c.of("pnl-update")) == 4)
            assert client.of("pnl-update") == read
            assert [len(message["trendsData"]) for message in read] == [1, 2, 3, 4]
        finally:
            await client.io.disconnect()
