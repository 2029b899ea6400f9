"""However many updates a stock JavaScript client missed: each comes once, in order, before the live ones."""

import asyncio
import time
from collections import defaultdict
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.stream.stage import staged
from tests.support.node import needs_node, run_script
from tests.waiting import until

TRANSPORTS = ("polling", "websocket", "polling+websocket")
WAYS = ("since", "recovery")
NAMES = {f"{transports} {way}" for transports in TRANSPORTS for way in WAYS}
LIVE = 3

MISSING = """
import { io } from "socket.io-client";
const [url, gate, transports, ways] = process.argv.slice(-4);
const say = (line) => console.log(JSON.stringify(line));
let going = 0;
function start(transports, way) {
  const name = `${transports} ${way}`;
  const auth = { recovery: way === "recovery" };
  const socket = io(url, { transports: transports.split("+"), auth, reconnection: false, forceNew: true });
  const seen = { seqs: [], sources: [] };
  let last, target = Infinity, end = Infinity, back = false, done = false;
  going += 1;
  socket.on("connect_error", (error) => { say({ name, failed: error.message }); process.exit(1); });
  socket.on("connect", () => {
    if (!back) {
      socket.emit("subscribe_pnl");
    } else if (way === "since") {
      socket.emit("subscribe_pnl", { since: last }, (answer) => say({ name, recovered: answer.recovered }));
    } else {
      say({ name, recovered: socket.recovered });
    }
  });
  socket.on("disconnect", async (reason) => {
    if (done) { return; }
    if (back) { say({ name, lost: reason, ...seen }); process.exit(1); }
    back = true;
    say({ name, left: last });
    ({ target, end } = await (await fetch(gate)).json());
    socket.connect();
  });
  socket.on("pnl_update", ({ data, source }) => {
    last = { epoch: data.epoch, seq: data.seq };
    if (!back) { socket.io.engine.close(); return; }
    seen.seqs.push(data.seq);
    seen.sources.push(source);
    if (data.seq >= target) { say({ name, at: data.seq }); }
    if (data.seq >= end) {
      say({ name, ...seen });
      done = true;
      socket.disconnect();
      going -= 1;
      if (!going) { process.exit(0); }
    }
  });
}
for (const one of transports.split(",")) { for (const way of ways.split(",")) { start(one, way); } }
setTimeout(() => process.exit(1), 50000);
"""


class Watch:
    """What the clients said."""

    def __init__(self):
        self.lines = defaultdict(list)
        self.more = asyncio.Event()

    def note(self, line):
        self.lines[line["name"]].append(line)
        self.more.set()

    def said_by_all(self, key, value):
        return all(any(key in line and value in (None, line[key]) for line in self.lines[name]) for name in NAMES)

    async def until(self, running, key, value=None):
        """Wait until every client said it; when the script ends before, its failure is raised."""
        while not self.said_by_all(key, value):
            self.more.clear()
            more = asyncio.create_task(self.more.wait())
            await asyncio.wait({running, more}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                more.cancel()
                raise AssertionError(f"{key}: {await running}")


@asynccontextmanager
async def gate(opened):
    """Lets the clients come back once the updates were published: answers with what the future holds."""

    async def answer(request):
        return web.json_response(await opened)

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@needs_node
@pytest.mark.parametrize("missed", [1, 10, 255, 256, 257, 400, 700, 1000, 1500])
async def test_each_missed_update_comes_once_in_order_before_the_live_ones(tmp_path, missed):
    watch = Watch()
    opened = asyncio.get_running_loop().create_future()
    async with staged(tmp_path / "pnl.db") as stage, gate(opened) as url:
        # What is not in memory any more has its age from the wall clock.
        await stage.publish("1000.50", at=int(time.time() * 1000))
        begun = stage.newest.seq
        arguments = (stage.url, url, ",".join(TRANSPORTS), ",".join(WAYS))
        running = asyncio.create_task(run_script(MISSING, *arguments, seen=watch.note))
        async with asyncio.timeout(50):
            await watch.until(running, "left")
            await until(lambda: stage.feeds.server.stats().clients == 0)
            for number in range(missed):
                await stage.publish(1000 + number % 7)
            target = stage.newest.seq
            opened.set_result({"target": target, "end": target + LIVE})
            for number in range(LIVE):
                await watch.until(running, "at", target + number)
                await stage.publish(2000 + number)
        await running
    for name in NAMES:
        (recovered,) = [line["recovered"] for line in watch.lines[name] if "recovered" in line]
        assert recovered is True, name
        seen = next(line for line in watch.lines[name] if "seqs" in line)
        assert seen["seqs"] == list(range(begun + 1, target + LIVE + 1)), name
        assert seen["sources"] == ["replay"] * missed + ["stream"] * LIVE, name
