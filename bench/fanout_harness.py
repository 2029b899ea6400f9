"""The engine alone under a feed of one room: what fan-out costs without the rest of the product.

Environment as the Node server's: PORT, API_KEY, UPDATE_INTERVAL_MS, PING_INTERVAL_MS, SAMPLE.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from pnl_backend.engine import EngineConfig, Environ, attach, create_server, listen, prepare_process


async def main(sample: dict[str, Any]) -> None:
    interval = int(os.environ.get("UPDATE_INTERVAL_MS", "1000")) / 1000
    key = os.environ["API_KEY"]

    def update(source: str) -> dict[str, Any]:
        return {**sample, "source": source, "t": time.monotonic_ns()}

    def authenticate(_: Environ, auth: Any) -> str | None:
        return "read" if isinstance(auth, dict) and auth.get("apiKey") == key else None

    config = EngineConfig(
        max_connections_per_ip=0,
        max_unfinished_per_ip=0,
        max_unauthenticated_per_ip=0,
        max_connections=0,
        max_unauthenticated=0,
        ping_interval=int(os.environ.get("PING_INTERVAL_MS", "25000")) / 1000,
    )
    server: Any = create_server(config, authenticate=authenticate)

    async def connected(sid: str, *_: Any) -> None:
        await server.emit("connect_success", {"clientId": sid, "transport": server.transport(sid)}, to=sid)

    async def subscribe(sid: str, *_: Any) -> dict[str, bool]:
        await server.enter_room(sid, "pnl")
        await server.emit("pnl_update", update("initial"), to=sid)
        return {"ok": True}

    server.on("connect", connected)
    server.on("subscribe_pnl", subscribe)
    app = web.Application()
    attach(server, app)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = await listen(server, runner, host="127.0.0.1", port=int(os.environ.get("PORT", "0")))
    prepare_process()
    print(json.dumps({"port": listener.port}), flush=True)
    due = time.monotonic()
    while True:
        due += interval
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await server.broadcast("pnl_update", update("stream"), room="pnl", replace_key="pnl")


if __name__ == "__main__":
    uvloop.run(main(json.loads(Path(os.environ["SAMPLE"]).read_text())))
