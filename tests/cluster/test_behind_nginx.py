"""Two nodes behind the shipped nginx site: stock clients go from node to node and get what they missed."""

from __future__ import annotations

import asyncio
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.installation import Cluster
from tests.deploy.proxy import CLUSTER_SITE, Proxy, free_ports
from tests.support.node import needs_node, run_script

TRANSPORTS = ("polling", "polling+websocket", "websocket")
ADDRESSES = [f"127.0.1.{last}" for last in range(1, 7)]
"""Of the clients; those that begin with polling have their node by it."""

SCRIPT = """
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { io } from "socket.io-client";
const [url, ca, kinds, ...addresses] = process.argv.slice(1);
const clients = [];
let ready = false;
const say = (line) => console.log(JSON.stringify(line));
const check = () => {
  if (!ready && clients.every(({ seen }) => seen.length >= 3)) { ready = true; say({ ready }); }
  // Every client has been cut, knows whether it has all, and has five updates of its newest session.
  const whole = ({ sessions, answers, seen }) => sessions > 1 && answers.length && seen.at(-5)?.session === sessions;
  if (clients.every(whole)) { say({ clients }); process.exit(); }
};
for (const kind of kinds.split(" ")) for (const [index, localAddress] of addresses.entries()) {
  const agent = new Agent({ ca: readFileSync(ca), localAddress, keepAlive: true });
  const recovery = index % 2 === 0; // the others say what they have, in `since`
  const socket = io(url, {
    agent, auth: { recovery }, forceNew: true, transports: kind.split("+"),
    reconnectionDelay: 100, reconnectionDelayMax: 500,
  });
  const client = { kind, localAddress, recovery, sessions: 0, answers: [], seen: [] };
  clients.push(client);
  socket.on("connect", () => {
    const last = client.seen.at(-1);
    client.sessions += 1;
    if (recovery && last) { client.answers.push(socket.recovered); return; }
    socket.emit("subscribe_pnl", ...(last ? [{ since: { epoch: last.epoch, seq: last.seq } }] : []),
      ({ recovered }) => { if (last) { client.answers.push(recovered); check(); } });
  });
  socket.on("pnl_update", ({ data, source }) => {
    client.seen.push({ epoch: data.epoch, seq: data.seq, source, session: client.sessions });
    check();
  });
}
"""


@needs_node
@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx (Debian: nginx-light)")
async def test_clients_of_a_killed_node_get_what_they_missed_from_the_other_one(
    installation: Cluster, tmp_path: Path
) -> None:
    """One node after the other is killed, so that every client is cut."""
    for port in map(str, free_ports(2)):
        await installation.node(TRUSTED_PROXIES="127.0.0.1", PORT=port)
    first = await installation.leader()
    (second,) = installation.others(first)
    (tmp_path / "nginx").mkdir()
    proxy = Proxy(tmp_path / "nginx", *(node.port for node in installation.nodes), site=CLUSTER_SITE)
    await proxy.start()
    ready = asyncio.Event()
    certificate = str(proxy.directory / "fullchain.pem")
    running = asyncio.create_task(
        run_script(
            SCRIPT, proxy.url, certificate, " ".join(TRANSPORTS), *ADDRESSES, timeout=90,
            seen=lambda line: ready.set() if line.get("ready") else None,
        )
    )  # fmt: skip
    try:
        await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        await first.kill()
        assert await installation.leader() is second
        await first.start()
        await first.until("/health/ready", lambda answer: answer["status"] == "ready")
        await second.kill()
        found = (await running)[-1]["clients"]
    finally:
        running.cancel()
        await proxy.stop()
    assert len(found) == len(TRANSPORTS) * len(ADDRESSES)
    for client in found:
        check(client)


def check(client: dict[str, Any]) -> None:
    """One epoch, no step back, no repeat, and nothing missing between two sessions."""
    assert len({update["epoch"] for update in client["seen"]}) == 1
    for before, update in pairwise(client["seen"]):
        jump = update["seq"] - before["seq"]
        assert jump > 0, (client["kind"], before, update)
        # A client that lags gets the newest update in place of those that waited: a live one only.
        assert jump == 1 or update["source"] == "stream", (client["kind"], before, update)
    assert all(client["answers"]), client
