"""The dashboard message over midnight: thirty days for who comes new and at the day's first, else today alone."""

from tests.stream.stage import NOON, staged
from tests.support.clients import listening
from tests.support.feeds import plain_socket

DAY = 86_400_000


async def test_thirty_days_first_and_after_midnight(tmp_path):
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
            assert second["trendsData"] == [
                {"date": first["trendsData"][-1]["date"], "revenue": 1040.0, "expenses": 5.25, "net": 1034.75}
            ]

            stage.previous = stage.newest
            await stage.publish(1050, at=NOON + 33 * DAY)
            third = await plain.read()
            assert len(third["trendsData"]) == 30
            assert [row["revenue"] for row in third["trendsData"]][-3:] == [1031.0, 1040.0, 1050.0]
            assert third["previousRevenue"] == 1040.0

            await stage.publish(1060)
            fourth = await plain.read()
            assert [row["revenue"] for row in fourth["trendsData"]] == [1060.0]
            await client.until(lambda c: len(c.of("pnl-update")) == 4)
            assert client.of("pnl-update") == [first, second, third, fourth]
            await plain.send({"type": "ping"})
            assert (await plain.read())["type"] == "pong"
