"""The nginx site for two nodes: a real nginx, two real servers. Their epochs differ, so each update names its node."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pnl_backend.wire.asyncapi import asyncapi
from tests.deploy.proxy import CLUSTER_SITE, SITE, Proxy
from tests.support.clients import Listener
from tests.support.node import needs_node, run_script
from tests.support.server import FAST, ServerProcess
from tests.waiting import PATIENCE

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx (Debian: nginx-light)")

KEY = "a-read-key-of-more-than-thirty-two-characters"
ADDRESSES = [f"127.0.1.{last}" for last in range(1, 25)]
"""Of the clients. That one node of two gets them all has a chance of one in eight million."""
UPDATES = 4

SCRIPT = """
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { io } from "socket.io-client";
const [url, ca, key, transports, updates, ...addresses] = process.argv.slice(1);
let open = addresses.length;
for (const localAddress of addresses) {
  const agent = new Agent({ ca: readFileSync(ca), localAddress, keepAlive: true });
  const socket = io(url, {
    agent, auth: { apiKey: key }, forceNew: true, reconnection: false, transports: transports.split("+"),
  });
  const epochs = [];
  const end = (problem) => {
    console.log(JSON.stringify({ localAddress, problem, epochs, transport: socket.io.engine?.transport.name }));
    socket.disconnect();
    if (!--open) process.exit();
  };
  socket.once("connect_error", (error) => end(`connect_error: ${error.message}`));
  socket.once("disconnect", (reason) => { if (reason !== "io client disconnect") end(reason); });
  socket.on("pnl_update", ({ data }) => {
    epochs.push(data.epoch);
    const ready = !transports.endsWith("websocket") || socket.io.engine.transport.name === "websocket";
    if (epochs.length >= updates && ready) end(null);
  });
  socket.once("connect_success", () => socket.emit("subscribe_pnl"));
}
"""


@asynccontextmanager
async def started(directory: Path, *names: str) -> AsyncIterator[list[ServerProcess]]:
    made = []
    for name in names:
        (directory / name).mkdir()
        made.append(ServerProcess(directory / name, **FAST, DEMO="true", API_KEY=KEY, TRUSTED_PROXIES="127.0.0.1"))
    try:
        await asyncio.gather(*(node.start() for node in made))
        yield made
    finally:
        for node in made:
            await node.close()


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[ServerProcess]]:
    async with started(tmp_path, "node1", "node2") as made:
        yield made


@asynccontextmanager
async def proxied(directory: Path, *ports: int) -> AsyncIterator[Proxy]:
    directory.mkdir()
    proxy = Proxy(directory, *ports, site=CLUSTER_SITE)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


@pytest.fixture
async def proxy(tmp_path: Path, nodes: list[ServerProcess]) -> AsyncIterator[Proxy]:
    async with proxied(tmp_path / "nginx", *(node.port for node in nodes)) as built:
        yield built


def browser(proxy: Proxy, address: str = "127.0.0.1") -> aiohttp.ClientSession:
    """A client at this address; it keeps no cookies."""
    trusted = ssl.create_default_context(cafile=str(proxy.directory / "fullchain.pem"))
    connector = aiohttp.TCPConnector(ssl=trusted, local_addr=(address, 0))
    return aiohttp.ClientSession(
        proxy.url, connector=connector, headers={"X-API-Key": KEY}, cookie_jar=aiohttp.DummyCookieJar()
    )


async def epochs_of(proxy: Proxy, address: str, transports: list[str]) -> list[str]:
    """The epochs of the updates that a python-socketio client gets on one session; ConnectionError if it is cut."""
    client = Listener()

    def heard(_: Listener) -> list[str]:
        if not client.io.connected:
            raise ConnectionError("the session was cut")
        epochs = [update["data"]["epoch"] for update in client.of("pnl_update")]
        return epochs if len(epochs) >= UPDATES and client.io.eio.transport() == transports[-1] else []

    async with browser(proxy, address) as session:
        client.io.eio.http, client.io.eio.external_http = session, True
        # Longer than python-socketio's second: a node that does not answer is passed over after one.
        await client.io.connect(proxy.url, transports=transports, auth={"apiKey": KEY}, wait_timeout=PATIENCE)
        try:
            await client.io.emit("subscribe_pnl")
            found: list[str] = await client.until(heard)
        finally:
            await client.io.disconnect()
    return found


async def epoch_of(node: ServerProcess) -> str:
    return str((await node.get("/api/pnl/current", **{"X-API-Key": KEY}))["data"]["epoch"])


def test_both_sites_say_the_same_but_for_the_nodes() -> None:
    lines, cluster = (
        {line.strip() for line in site.read_text().splitlines() if line.strip()[:1] not in ("", "#")}
        for site in (SITE, CLUSTER_SITE)
    )
    assert lines - cluster == {
        "upstream pnl_backend {",
        "server 127.0.0.1:3000 max_fails=0;",
        "proxy_pass http://pnl_backend;",
        "proxy_connect_timeout 5s;",
        "proxy_next_upstream off;",
        "allow 127.0.0.1;",
        "allow ::1;",
    }


def test_every_feed_is_a_stream_to_nginx() -> None:
    (pattern,) = re.findall(r"location ~\* (\S+) \{\n        error_page", CLUSTER_SITE.read_text())
    channels = asyncapi(version="1", sources=())["channels"].values()
    paths = {one["address"] for one in channels if one["servers"] != [{"$ref": "#/servers/socketio"}]}
    assert len(paths) >= 3
    for path in {"/", "/socket.io", *paths}:
        assert re.fullmatch(pattern, path), path
        assert path == "/" or re.fullmatch(pattern, f"{path}/".upper(), re.IGNORECASE), path
    assert not re.fullmatch(pattern, "/api/pnl/current")


async def test_the_configuration_is_without_fault_and_shows_no_metrics(tmp_path: Path) -> None:
    async with proxied(tmp_path / "nginx", 1, 2) as proxy, browser(proxy) as session:
        said = proxy.check()
        assert "syntax is ok" in said
        assert "warn" not in said
        for path in ("/metrics", "/metrics/", "/METRICS"):
            async with session.get(path) as answer:
                assert answer.status == 403
        async with session.get("/health") as answer:
            assert answer.status == 502


@needs_node
async def test_a_session_that_begins_with_polling_stays_on_its_node_and_streams_go_anywhere(proxy: Proxy) -> None:
    node_of: dict[str, set[str]] = {address: set() for address in ADDRESSES}
    for transports in (["polling"], ["polling", "websocket"]):
        certificate = str(proxy.directory / "fullchain.pem")
        javascript = asyncio.create_task(
            run_script(SCRIPT, proxy.url, certificate, KEY, "+".join(transports), str(UPDATES), *ADDRESSES, timeout=90)
        )
        python = await asyncio.gather(*(epochs_of(proxy, address, transports) for address in ADDRESSES))
        found = await javascript
        assert [one["problem"] for one in found] == [None] * len(ADDRESSES)
        assert {one["transport"] for one in found} == {transports[-1]}
        for one in found:
            node_of[one["localAddress"]] |= set(one["epochs"])
        for address, epochs in zip(ADDRESSES, python, strict=True):
            node_of[address] |= set(epochs)
    # One node for each address and every client there.
    assert {len(epochs) for epochs in node_of.values()} == {1}
    assert len(set().union(*node_of.values())) == 2
    await streams_are_spread(proxy)


async def streams_are_spread(proxy: Proxy) -> None:
    """Each new stream goes to the node with fewer of them."""
    epochs = []
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(browser(proxy))
        for _ in range(4):
            plain = await stack.enter_async_context(session.ws_connect("/ws"))
            epochs.append((await plain.receive_json(timeout=20))["data"]["epoch"])
            stream = await stack.enter_async_context(session.get("/api/pnl/stream"))
            epochs.append(await first_epoch(stream))
    assert sorted(epochs.count(epoch) for epoch in set(epochs)) == [4, 4]


async def test_nobody_is_refused_while_a_node_is_restarted(proxy: Proxy, nodes: list[ServerProcess]) -> None:
    """New WebSockets, event streams and requests are answered meanwhile; then the node is used again."""
    nodes[0].env["PORT"] = str(nodes[0].port)
    # A socket that answers no close frame keeps the node in its shutdown for its longest.
    silent = await raw_websocket(nodes[0].port)
    nodes[0].signal(signal.SIGTERM)
    ended = asyncio.create_task(nodes[0].wait())
    after = 0
    async with browser(proxy) as session:
        while after < 4:
            after += ended.done()
            async with session.ws_connect("/ws") as plain:
                await plain.receive_json(timeout=20)
            async with session.get("/api/pnl/stream") as stream:
                assert stream.status == 200
                seen = await first_epoch(stream)
            async with session.get("/api/pnl/current") as answer:
                assert answer.status == 200
    silent.close()
    assert await ended == 0
    remaining = await epoch_of(nodes[1])
    assert seen == remaining
    polling = await asyncio.gather(*(epochs_of(proxy, address, ["polling"]) for address in ADDRESSES))
    assert {epoch for epochs in polling for epoch in epochs} == {remaining}
    await nodes[0].start()
    both = {remaining, await epoch_of(nodes[0])}
    async with asyncio.timeout(60):
        # Polling clients return to their node when nginx tries it again, and those sessions are cut once.
        while {epoch for epochs in polling if isinstance(epochs, list) for epoch in epochs} != both:
            polling = await asyncio.gather(
                *(epochs_of(proxy, address, ["polling"]) for address in ADDRESSES), return_exceptions=True
            )


async def test_a_machine_that_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (first, second):  # its queue is full: the kernel drops whoever comes next
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        async with (
            started(tmp_path, "node") as (node,),
            proxied(tmp_path / "nginx", deaf.getsockname()[1], node.port) as proxy,
            browser(proxy) as session,
        ):
            for _ in range(3):
                async with session.get("/api/pnl/current") as answer:
                    assert answer.status == 200
            async with session.ws_connect("/ws") as plain:
                await plain.receive_json(timeout=20)
            for transports in (["polling"], ["polling", "websocket"]):
                seen = await asyncio.gather(*(epochs_of(proxy, address, transports) for address in ADDRESSES[:4]))
                assert {epoch for epochs in seen for epoch in epochs} == {await epoch_of(node)}


async def first_epoch(stream: aiohttp.ClientResponse) -> str:
    async with asyncio.timeout(PATIENCE):
        async for line in stream.content:
            if line.startswith(b"data:"):
                found: dict[str, Any] = json.loads(line[5:])
                return str(found["data"]["epoch"])
    raise AssertionError("the stream ended")


async def raw_websocket(port: int) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"GET /ws?apiKey={KEY} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    writer.write(head.encode())
    assert (await reader.readline()).split()[1] == b"101"
    return writer
