"""Socket.IO's connection state recovery, with the stock client; and the dashboard's subscription."""

import asyncio

import pytest

from tests.support.clients import Listener, listening
from tests.support.node import needs_node, run_script
from tests.support.server import FAST, ServerProcess, upstream_env

CUT = """
import { io } from "socket.io-client";
const [url, pause] = process.argv.slice(-2);
const times = { reconnectionDelay: Number(pause), reconnectionDelayMax: Number(pause) + 1, randomizationFactor: 0 };
const socket = io(url, { ...times, transports: ["websocket"], auth: { recovery: true } });
const seen = { ids: [], recovered: [], seqs: [], components: [], sources: [], dashboards: 0 };
setTimeout(() => { console.log(JSON.stringify({ ...seen, late: true })); process.exit(0); }, 30000);
let wanted = Infinity;
socket.on("connect", () => {
  seen.ids.push(socket.id);
  seen.recovered.push(socket.recovered);
  if (seen.ids.length === 1) {
    socket.emit("subscribe_pnl");
    socket.emit("subscribe_components");
    socket.emit("subscribe_dashboard");
  } else {
    wanted = seen.seqs.length + 12;
  }
});
socket.on("pnl-update", () => { seen.dashboards += 1; });
socket.on("components_update", ({ data }) => {
  seen.components.push(data.seq);
  if (seen.components.length === 5) {
    console.log(JSON.stringify({ cut: true }));
    socket.io.engine.close();
  }
});
socket.on("pnl_update", ({ data, source }) => {
  seen.seqs.push(data.seq);
  seen.sources.push(source);
  if (seen.seqs.length >= wanted) { console.log(JSON.stringify(seen)); process.exit(0); }
});
"""


def gap_free(seqs):
    return seqs == list(range(seqs[0], seqs[0] + len(seqs)))


@needs_node
async def test_a_connection_that_was_cut_is_recovered_with_all_it_missed(server):
    _, seen = await run_script(CUT, server.url, "600")
    assert seen["recovered"] == [False, True]
    assert seen["ids"][0] == seen["ids"][1]
    assert gap_free(seen["seqs"])
    assert gap_free(seen["components"])
    assert "replay" in seen["sources"]
    assert seen["sources"].count("initial") == 1
    assert seen["dashboards"] > 12


@needs_node
async def test_recovery_works_after_a_restart_of_the_server(server):
    server.env["PORT"] = str(server.port)
    running = asyncio.create_task(run_script(CUT, server.url, "1500"))
    await server.until("/api/health", lambda a: a["connectedClients"] == 1)
    await server.until("/api/health", lambda a: a["connectedClients"] == 0)
    assert await server.stop() == 0
    await server.start()
    *_, seen = await running
    assert seen["recovered"][-1] is True
    assert gap_free(seen["seqs"])


@needs_node
@pytest.mark.slow(30)
async def test_what_is_too_old_starts_afresh(tmp_path, simulator):
    env = FAST | upstream_env(simulator, simulator.credentials()) | {"RECOVERY_WINDOW_MS": "200"}
    server = await ServerProcess(tmp_path, **env).start()
    try:
        *_, seen = await run_script(CUT.replace("seen.ids.length === 1", "true"), server.url, "1500")
        assert seen["recovered"] == [False, False]
        assert seen["ids"][0] != seen["ids"][1]
        assert seen["sources"].count("initial") == 2
    finally:
        await server.close()


FORGED = """
import { io } from "socket.io-client";
const [url, pid, offset] = process.argv.slice(-3);
const socket = io(url, { transports: ["websocket"], reconnection: false, auth: { recovery: true } });
socket._pid = pid;
socket._lastOffset = offset;
socket.on("connect", () => {
  console.log(JSON.stringify({ recovered: Boolean(socket.recovered), id: socket.id }));
  process.exit(0);
});
"""


@needs_node
@pytest.mark.parametrize(
    ("pid", "offset"),
    [
        ("somebody.AAAAAAAAAAAAAAAAAAAAAAAA", "x-1_p1"),
        ("garbage", "garbage"),
        ("a" * 5000, "b" * 5000),
    ],
)
async def test_a_pid_or_offset_that_is_not_ours_starts_afresh(server, pid, offset):
    (answer,) = await run_script(FORGED, server.url, pid, offset)
    assert answer["recovered"] is False
    assert answer["id"] not in pid


async def test_python_s_client_gets_no_offset_unless_it_requests_one(server):
    async with listening(server.url) as plain, listening(server.url, auth={"recovery": True}) as asking:
        for client in (plain, asking):
            await client.io.emit("subscribe_pnl")
            await client.until(lambda c: len(c.of("pnl_update")) >= 4)
        assert all(isinstance(update, dict) for update in plain.of("pnl_update"))
        offsets = [update[1] for update in asking.of("pnl_update")]
        assert all(isinstance(offset, str) for offset in offsets)
        assert len(set(offsets)) == len(offsets)
    async with listening(server.url, auth={"recovery": False}, headers={"User-Agent": "Mozilla/5.0"}) as refusing:
        await refusing.io.emit("subscribe_pnl")
        await refusing.until(lambda c: len(c.of("pnl_update")) >= 3)
        assert all(isinstance(update, dict) for update in refusing.of("pnl_update"))
    async with listening(server.url, headers={"User-Agent": "Mozilla/5.0"}) as browser:
        await browser.io.emit("subscribe_pnl")
        await browser.until(lambda c: len(c.of("pnl_update")) >= 3)
        assert all(isinstance(update[1], str) for update in browser.of("pnl_update"))


async def test_the_dashboard_is_subscribed_by_event_by_namespace_and_by_setting(tmp_path, simulator):
    env = FAST | upstream_env(simulator, simulator.credentials()) | {"DASHBOARD_BROADCAST": "true"}
    server = await ServerProcess(tmp_path, **env).start()
    try:
        async with listening(server.url) as everyone:
            messages = await everyone.until(lambda c: len(c.of("pnl-update")) >= 3 and c.of("pnl-update"))
        assert {"timestamp", "revenue", "expenses", "netPnL", "trendsData", "costBreakdown"} <= messages[0].keys()
        assert len({len(message["trendsData"]) for message in messages}) == 1
        client = Listener()
        client.io.on("*", client._note, namespace="/dashboard")
        await client.io.connect(server.url, namespaces=["/dashboard"])
        await client.until(lambda c: len(c.of("pnl-update")) >= 3)
        await client.io.disconnect()
    finally:
        await server.close()


async def test_subscribing_to_the_dashboard_and_leaving_it(server):
    async with listening(server.url) as client:
        assert (await client.io.call("subscribe_dashboard"))["ok"]
        message = (await client.until(lambda c: c.of("pnl-update")))[0]
        assert message["netPnL"] == round(message["revenue"] - message["expenses"], 2)
        assert await client.io.call("unsubscribe_dashboard") == {"ok": True}
        await client.io.call("subscribe_pnl")
        seen = len(client.of("pnl-update"))
        await client.until(lambda c: len(c.of("pnl_update")) >= 4)
        assert len(client.of("pnl-update")) == seen
