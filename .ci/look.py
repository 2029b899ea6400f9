"""Checks a server that has just been started: the page, REST and a live socket."""

import asyncio
import json
import shutil
import sys
import urllib.request

import socketio


def get(address: str) -> tuple[str, str]:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.headers.get_content_type(), answer.read().decode()


async def main(url: str) -> None:
    kind, page = get(url + "/")
    assert kind == "text/html", kind
    assert ('id="root"' in page) == (shutil.which("npm") is not None), "npm is here, so the dashboard is served"
    current = json.loads(get(url + "/api/pnl/current")[1])["data"]
    assert current["simulated"] is True, "no credentials: this is the demo"
    assert json.loads(get(url + "/health")[1])["status"] == "healthy"
    updates: asyncio.Queue = asyncio.Queue()
    client = socketio.AsyncClient()
    client.on("pnl_update", updates.put)
    await client.connect(url)
    await client.emit("subscribe_pnl")
    async with asyncio.timeout(30):
        first, second = await updates.get(), await updates.get()
    await client.disconnect()
    assert second["data"]["seq"] == first["data"]["seq"] + 1
    assert second["data"]["degraded"] == [], "every source of the demo answers"
    print(f"live: net P&L {first['data']['netPnL']} then {second['data']['netPnL']}")


asyncio.run(main(sys.argv[1]))
