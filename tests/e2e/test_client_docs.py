"""The pages for clients: each program on them is run as it stands, cut off, and must go on without a gap."""

import asyncio
import os
import re
import shutil
import signal
import sys
from contextlib import suppress

import pytest

from tests.support.cutting import cutting_proxy
from tests.support.node import node_modules
from tests.support.server import FAST, ROOT, ServerProcess, upstream_env

KEY = "your-api-key"
PAGES = ("javascript", "python", "curl")
IN_NODE = 'import ForNode from "ws";\nglobalThis.WebSocket ??= ForNode;\nsetInterval(() => {}, 60000);\n'
"""What a browser has and older Nodes have not; and a page stays open while it waits to connect again."""
PRINTED = re.compile(r"^(\d+) (-?\d+(?:\.\d+)?)(?: \w+)?$")


def programs(language):
    """(page and heading, text) of every program in a language."""
    for page in PAGES:
        for section in re.split(r"^#+ ", (ROOT / "docs" / "clients" / f"{page}.md").read_text(), flags=re.MULTILINE):
            for text in re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
                yield f"{page}: {section.splitlines()[0]}", text


@pytest.fixture
async def moving(tmp_path, simulator):
    """A server with the key of the pages, whose figures never rest."""

    async def move():
        while True:
            simulator.step(2)
            await asyncio.sleep(0.05)

    server = ServerProcess(tmp_path, **FAST, **upstream_env(simulator, simulator.credentials()), API_KEY=KEY)
    await server.start()
    mover = asyncio.create_task(move())
    yield server
    mover.cancel()
    await server.close()


class Running:
    """A program whose lines are read as they come."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    @classmethod
    async def start(cls, *command, cwd):
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "NODE_OPTIONS": "--experimental-eventsource"}
        streams = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
        return cls(await asyncio.create_subprocess_exec(*command, cwd=cwd, env=env, start_new_session=True, **streams))

    async def until(self, condition):
        try:
            async with asyncio.timeout(40):
                while not condition(self.lines):
                    line = await self.process.stdout.readline()
                    assert line, "the program has ended"
                    self.lines.append(line.decode().rstrip())
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"{error!r} after\n" + "\n".join(self.lines)) from None

    async def end(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.communicate()


def figures(lines):
    """seq and net of the lines that tell them; a warning of the runtime is none."""
    return [(int(found[1]), float(found[2])) for line in lines if (found := PRINTED.match(line))]


def command_of(language, text):
    if language == "js":
        if shutil.which("npm") is None:
            pytest.skip("needs Node.js 20 or newer; the build has it")
        return ("node", "--input-type=module", "-e", IN_NODE + text), node_modules()
    return (sys.executable, "-c", text), None


async def run_and_cut(server, name, language, text):
    """Read some updates, cut the connection, read some more; answers all of them."""
    async with cutting_proxy(server.port) as proxy:
        assert "localhost:3000" in text, name
        text = text.replace("localhost:3000", proxy.url.removeprefix("http://"))
        command, folder = await asyncio.to_thread(command_of, language, text)
        running = await Running.start(*command, cwd=folder)
        try:
            await running.until(lambda lines: len(figures(lines)) >= 5)
            assert proxy.cut_all() == 1
            seen = len(figures(running.lines))
            await running.until(lambda lines: len(figures(lines)) >= seen + 5)
        finally:
            await running.end()
        return figures(running.lines)


@pytest.mark.parametrize("language", ["js", "python"])
async def test_every_program_reads_the_true_figures_and_survives_a_cut(moving, language):
    found = list(programs(language))
    examples = dict(found)
    assert len(examples) == len(found) >= 2
    told = await asyncio.gather(*(run_and_cut(moving, name, language, text) for name, text in examples.items()))
    history = (await moving.get("/api/pnl/history?limit=1000", **{"X-API-Key": KEY}))["data"]["data"]
    net = {row["seq"]: row["netPnL"] for row in history}
    for name, seen in zip(examples, told, strict=True):
        seqs = [seq for seq, _ in seen]
        assert seqs == sorted(seqs), name
        assert [(seq, net[seq]) for seq in seqs] == seen, name
        if "Socket.IO" in name:
            assert seqs == list(range(seqs[0], seqs[-1] + 1)), f"{name} missed updates"


async def test_every_command_works(moving, tmp_path):
    commands = [line for _, text in programs("sh") for line in text.splitlines()]
    assert len(commands) >= 5
    for command in commands:
        line = command.replace("localhost:3000", f"localhost:{moving.port}").replace("curl ", "curl -sS ", 1)
        running = await Running.start("sh", "-c", line, cwd=tmp_path)
        try:
            if " -N " in line:
                await running.until(lambda lines: sum(one.startswith("data: ") for one in lines) >= 3)
                continue
            output, _ = await running.process.communicate()
        finally:
            await running.end()
        assert running.process.returncode == 0, command
        if " -o " in line:
            assert (tmp_path / "pnl.csv").read_text().startswith("timestamp,"), command
        else:
            assert b'"success":true' in output or b'"status":"healthy"' in output, command
