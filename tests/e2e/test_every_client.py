"""Every Socket.IO client that npm and PyPI offer by name, on each transport, with each handler that people write."""

import asyncio
import queue
import threading

import pytest
import socketio

from tests.support.node import needs_node, run_script
from tests.waiting import PATIENCE

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]
EVENTS = {
    "subscribe_pnl": "pnl_update",
    "subscribe_components": "components_update",
    "subscribe_dashboard": "pnl-update",
}
WANTED = 4
"""Updates of each event."""


def seq_of(update):
    """Of a whole message; the dashboard's has no envelope."""
    return update.get("data", update)["seq"]


def check(seen):
    """Each event brought its updates, one by one."""
    assert seen.keys() == set(EVENTS.values())
    for event, seqs in seen.items():
        assert len(seqs) >= WANTED, event
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), event


JAVASCRIPT = """
const [name, url, transports, shape, auth] = process.argv.slice(-5);
const { io } = await import(name);
const socket = io(url, { transports: transports.split("+"), auth: JSON.parse(auth), reconnection: false });
const seen = { "pnl_update": [], "components_update": [], "pnl-update": [] };
const extra = new Set();
const done = () => Object.values(seen).every((seqs) => seqs.length >= WANTED);
const take = (event, update) => {
  seen[event].push((update.data ?? update).seq);
  if (!done()) return;
  console.log(JSON.stringify({ seen, extra: [...extra], pid: Boolean(socket._pid) }));
  socket.disconnect();
};
const HANDLERS = {
  one: (event) => (update) => take(event, update),
  typed: (event) => (update, ack) => {
    extra.add(typeof ack);
    if (typeof ack === "function") ack();
    take(event, update);
  },
  truthy: (event) => (update, ack) => { if (ack) ack(); take(event, update); },
};
for (const event of Object.keys(seen)) socket.on(event, HANDLERS[shape](event));
socket.on("error", (error) => { console.error(error); process.exit(1); });
socket.on("connect_error", (error) => { console.error(error); process.exit(1); });
socket.on("connect_success", () => {
  for (const topic of ["pnl", "components", "dashboard"]) socket.emit(`subscribe_${topic}`);
});
""".replace("WANTED", str(WANTED))


async def in_javascript(server, package, transports, shape, auth="{}"):
    (answer,) = await run_script(JAVASCRIPT, package, server.url, "+".join(transports), shape, auth)
    check(answer["seen"])
    return answer


@needs_node
@pytest.mark.parametrize("package", ["socket.io-client", "socket.io-client-3"])
@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_javascript(server, package, transports):
    """Over polling its User-Agent says that it takes offsets; a WebSocket in Node sends none."""
    await in_javascript(server, package, transports, "one")
    answer = await in_javascript(server, package, transports, "typed")
    assert answer["extra"] == (["string"] if "polling" in transports else ["undefined"])
    assert answer["pid"] is ("polling" in transports and package == "socket.io-client")
    await in_javascript(server, package, transports, "truthy", '{"recovery": false}')
    asked = await in_javascript(server, package, transports, "typed", '{"recovery": true}')
    assert asked["extra"] == ["string"]
    if "polling" not in transports:
        await in_javascript(server, package, transports, "truthy")


HANDLERS = {
    "one argument": lambda take: take,
    "update and ack": lambda take: lambda update, ack=None: take(update) if ack is None else ack(),
}


def heard(io, make, arrived):
    """Set the handlers of all three events."""
    for event in EVENTS.values():
        io.on(event, make(lambda update, event=event: arrived((event, seq_of(update)))))


def all_there(seen):
    return len(seen) == len(EVENTS) and all(len(seqs) >= WANTED for seqs in seen.values())


def synchronous(url, transports, make):
    """The synchronous client, which runs each handler in a thread of its own."""
    arrived = queue.Queue()
    io = socketio.Client(reconnection=False)
    greeted = threading.Event()
    io.on("connect_success", lambda _: greeted.set())
    io.on("error", lambda error: arrived.put(("error", error)))
    heard(io, make, arrived.put)
    io.connect(url, transports=transports)
    try:
        assert greeted.wait(20)
        for event in EVENTS:
            io.emit(event)
        seen = {}
        while not all_there(seen):
            event, seq = arrived.get(timeout=20)
            seen.setdefault(event, []).append(seq)
        return seen
    finally:
        io.disconnect()


async def asynchronous(url, transports, make):
    arrived = asyncio.Queue()
    io = socketio.AsyncClient(reconnection=False)
    greeted = asyncio.Event()
    io.on("connect_success", lambda _: greeted.set())
    io.on("error", lambda error: arrived.put_nowait(("error", error)))
    heard(io, make, arrived.put_nowait)
    await io.connect(url, transports=transports)
    try:
        async with asyncio.timeout(PATIENCE):
            await greeted.wait()
            for event in EVENTS:
                await io.emit(event)
            seen = {}
            while not all_there(seen):
                event, seq = await arrived.get()
                seen.setdefault(event, []).append(seq)
            return seen
    finally:
        await io.disconnect()


@pytest.mark.parametrize("shape", HANDLERS)
@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_python_synchronous(server, transports, shape):
    seen = await asyncio.to_thread(synchronous, server.url, transports, HANDLERS[shape])
    check({event: sorted(seqs) for event, seqs in seen.items()})


@pytest.mark.parametrize("shape", HANDLERS)
@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
async def test_python_asynchronous(server, transports, shape):
    seen = await asynchronous(server.url, transports, HANDLERS[shape])
    check({event: sorted(seqs) for event, seqs in seen.items()})


async def test_a_user_agent_decides_where_auth_has_no_recovery(server):
    async def arguments(agent, auth=None):
        first = asyncio.get_running_loop().create_future()
        io = socketio.AsyncClient(reconnection=False)
        io.on("pnl_update", lambda *given: first.done() or first.set_result(given))
        await io.connect(server.url, headers={"User-Agent": agent} if agent else {}, auth=auth)
        try:
            await io.emit("subscribe_pnl")
            async with asyncio.timeout(PATIENCE):
                return len(await first)
        finally:
            await io.disconnect()

    for agent in ("Mozilla/5.0 (X11)", "node-XMLHttpRequest", "node-XMLHttpRequest/2"):
        assert await arguments(agent) == 2, agent
        assert await arguments(agent, {"recovery": False}) == 1, agent
    for agent in ("", "okhttp/4.12", "Dart/3.5", "mozilla/5.0", "x Mozilla/5.0", "python-requests/2.34", "Bun/1.2"):
        assert await arguments(agent) == 1, agent
        assert await arguments(agent, {"recovery": True}) == 2, agent
    for unclear in ("yes", 1, None):
        assert await arguments("okhttp/4.12", {"recovery": unclear}) == 1
        assert await arguments("Mozilla/5.0", {"recovery": unclear}) == 2
