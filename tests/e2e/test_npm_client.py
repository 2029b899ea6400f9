"""The npm client runs the flow of the existing store: connect, wait for connect_success, subscribe to both, read."""

import asyncio

import pytest

from tests.support.node import needs_node, run_script

pytestmark = needs_node

STORE_FLOW = """
import { io } from "socket.io-client";
const [url, transports] = process.argv.slice(-2);
const socket = io(url, { transports: transports.split("+"), auth: { apiKey: "any" }, reconnection: false });
const seen = { pnl: [], components: [], order: [], recovered: null };
const finish = (code) => { console.log(JSON.stringify(seen)); socket.disconnect(); process.exit(code); };
setTimeout(() => finish(1), 30000);
socket.on("connect_error", (error) => { seen.error = error.message; finish(1); });
socket.on("connect", () => seen.order.push("connect"));
socket.on("connect_success", (data) => {
  seen.order.push("connect_success");
  seen.greeting = data;
  seen.id = socket.id;
  socket.emit("subscribe_pnl");
  socket.emit("subscribe_components");
});
const check = () => {
  if (seen.pnl.length >= 6 && seen.components.length >= 6) {
    seen.transport = socket.io.engine.transport.name;
    finish(0);
  }
};
socket.on("pnl_update", (payload) => {
  seen.pnl.push({ net: payload.data.netPnL, seq: payload.data.seq, timestamp: payload.timestamp });
  check();
});
socket.on("components_update", (payload) => { seen.components.push(payload.data); check(); });
"""


@pytest.mark.parametrize("transports", ["websocket", "polling", "polling+websocket"])
async def test_the_flow_of_the_existing_store(server, transports):
    (seen,) = await run_script(STORE_FLOW, server.url, transports)
    assert seen["order"] == ["connect", "connect_success"]
    assert seen["greeting"]["clientId"] == seen["id"]
    assert seen["transport"] == transports.split("+")[-1]
    seqs = [update["seq"] for update in seen["pnl"]]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert all(update["timestamp"].endswith("Z") for update in seen["pnl"])
    for components in seen["components"]:
        assert {"balance", "positions", "pnl"} <= components["kalshi"].keys()
        assert "dailySpend" in components["anthropic"]
        assert {"invoiced", "collected"} <= components["johns"].keys()


RECONNECT = """
import { io } from "socket.io-client";
const [url] = process.argv.slice(-1);
const socket = io(url, { transports: ["websocket"], reconnectionDelay: 100, reconnectionDelayMax: 300 });
let connects = 0;
setTimeout(() => { console.log(JSON.stringify({ connects })); process.exit(1); }, 40000);
socket.on("connect_success", () => {
  connects += 1;
  socket.emit("subscribe_pnl");
  console.log(JSON.stringify({ connects }));
});
socket.on("disconnect", (reason) => console.log(JSON.stringify({ reason })));
socket.on("pnl_update", () => { if (connects === 2) { socket.disconnect(); process.exit(0); } });
"""


async def test_a_client_reconnects_when_the_server_is_restarted(server):
    greeted = asyncio.Event()
    running = asyncio.create_task(run_script(RECONNECT, server.url, seen=lambda _: greeted.set()))
    async with asyncio.timeout(30):
        await greeted.wait()
    server.env["PORT"] = str(server.port)
    assert await server.stop() == 0
    await server.start()
    lines = await running
    reasons = [line["reason"] for line in lines if "reason" in line]
    assert reasons[0] == "transport close", "a reason after which the client reconnects by itself"
    assert {"connects": 2} in lines
