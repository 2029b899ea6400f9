"""The npm client against Node's server and against ours, side by side: what it sees is the same."""

import asyncio
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import socketio

from pnl_backend.engine import Server
from tests.engine.conftest import Running, Start
from tests.support.node import node_modules
from tests.waiting import PATIENCE

NODE = Path(__file__).parent / "node"
needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="Node is not here")


@pytest.fixture(scope="session")
def installed() -> Path:
    """The JavaScript packages at their locked versions."""
    return node_modules()


def handlers(server: Server) -> None:
    """What node/server.js does, in Python."""
    attempts: Counter[str] = Counter()

    @server.on("connect")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await server.emit("auth", auth, to=sid)

    @server.on("numbers")
    async def numbers(sid: str, count: int) -> None:
        for number in range(count):
            await server.emit("number", number, to=sid)

    @server.on("unreliable")
    async def unreliable(sid: str, name: str) -> int:
        attempts[name] += 1
        if attempts[name] < 3:
            await asyncio.Event().wait()
        return attempts[name]

    @server.on("nobody-listens")
    async def nobody(sid: str) -> None:
        await asyncio.Event().wait()

    @server.on("ask-me")
    async def ask(sid: str) -> None:
        await server.emit("asked", await server.call("question", 1, to=sid, timeout=2), to=sid)

    @server.on("kick")
    async def kick(sid: str) -> None:
        await server.disconnect(sid)

    @server.on("connect", namespace="/slow")
    async def slow(sid: str, environ: Any, auth: Any) -> None:
        await asyncio.sleep(0.3)

    @server.on("message", namespace="/slow")
    async def message(sid: str, *args: Any) -> None:
        await server.emit("message-back", args, to=sid, namespace="/slow")

    @server.on("connect", namespace="/locked")
    async def locked(sid: str, environ: Any, auth: Any) -> None:
        raise socketio.exceptions.ConnectionRefusedError("Locked")


async def seen(url: str) -> dict[str, Any]:
    """What the JavaScript client reports."""
    process = await asyncio.create_subprocess_exec(
        "node", "client.js", url, cwd=NODE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    return {line["run"]: line for line in map(json.loads, out.decode().splitlines())}


@needs_node
@pytest.mark.parametrize("front", [True, False])
async def test_the_javascript_client_gets_the_same(installed: Path, start: Start, front: bool) -> None:
    engine: Running = await start(front=front, setup=handlers, ping_interval=0.3, ping_timeout=20)
    node = await asyncio.create_subprocess_exec("node", "server.js", cwd=NODE, stdout=asyncio.subprocess.PIPE)
    try:
        assert node.stdout is not None
        port = int(await asyncio.wait_for(node.stdout.readline(), PATIENCE))
        theirs = await seen(f"http://127.0.0.1:{port}")
        ours = await seen(f"http://127.0.0.1:{engine.port}")
    finally:
        node.kill()
        await node.wait()
    assert len(theirs) == 57
    assert not [run for run, line in theirs.items() if line["result"] == "NOTHING CAME"]
    assert ours == theirs
    assert ours["upgrade/survivesPings"]["upgraded"] == "websocket"
