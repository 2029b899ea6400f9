"""The pages for clients: each program and command is run unchanged; programs lose their connection and continue."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import venv
from contextlib import suppress

import pytest

from tests.support.cutting import cutting_proxy
from tests.support.node import PACKAGE as NODE_PACKAGE
from tests.support.node import node_modules
from tests.support.server import FAST, ROOT, ServerProcess, upstream_env

KEY = "your-api-key"
PAGES = ("javascript", "python", "curl")
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
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
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


def installs(tool):
    """The commands on the pages that install something with `npm` or `pip`."""
    pages = [(ROOT / "docs" / "clients" / f"{page}.md").read_text() for page in PAGES]
    return sorted({found for page in pages for found in re.findall(rf"`({tool} install [^`]+)`", page)})


def command_of(language, text):
    if language == "js":
        if shutil.which("npm") is None:
            pytest.skip("needs Node.js 20 or newer; the build has it")
        return ("node", "--input-type=module", "-e", text), node_modules()
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
            assert len(figures(running.lines)) == len(running.lines), f"{name} says more: {running.lines}"
            assert proxy.cut_all() == 1
            seen = len(figures(running.lines))
            await running.until(lambda lines: len(figures(lines)) >= seen + 5)
        finally:
            await running.end()
        return figures(running.lines)


@pytest.mark.parametrize("language", ["js", "python"])
async def test_every_program_reads_the_true_figures_and_reconnects(moving, language):
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


def imported(language):
    """The packages that the programs import, the standard library aside."""
    text = "".join(text for _, text in programs(language))
    if language == "js":
        return set(re.findall(r"""(?:from |import\()["']([^"'./][^"'/]*)["']""", text))
    found = {name.split(".")[0] for name in re.findall(r"^(?:from|import) (\S+)", text, re.MULTILINE)}
    return found - set(sys.stdlib_module_names)


def test_the_programs_run_here_with_what_the_pages_install():
    """At the version that a page names, and with nothing that it does not name."""
    locked = json.loads((NODE_PACKAGE / "package.json").read_text())["dependencies"]
    named = dict(command.removeprefix("npm install ").partition("@")[::2] for command in installs("npm"))
    assert named.keys() == imported("js") == {"socket.io-client", "ws", "eventsource"}
    for package, major in named.items():
        assert locked[package].startswith(f"{major}." if major else ""), package
    assert imported("python") == {"socketio", "websockets"}


@pytest.mark.slow(25)
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="needs a Python whose own pip is of 2023")
async def test_every_pip_command_works_with_an_old_pip(tmp_path):
    """In an environment with the pip that Python 3.11 brings; every name is one that this pip knows."""
    commands = installs("pip")
    assert len(commands) >= 3
    python = tmp_path / "env" / "bin" / "python"
    await asyncio.to_thread(venv.create, tmp_path / "env", with_pip=True)
    for command in commands:
        running = await Running.start(str(python), "-m", *command.split(), "--disable-pip-version-check", cwd=tmp_path)
        output = (await running.process.communicate())[0].decode()
        if "Could not find a version" in output or "Connection" in output:
            pytest.skip("no package index can be reached")
        assert running.process.returncode == 0, output
        assert "does not provide the extra" not in output, output
    code = "import socketio, websockets, aiohttp, requests, websocket; socketio.AsyncClient(); socketio.Client()"
    running = await Running.start(str(python), "-c", code, cwd=tmp_path)
    output = (await running.process.communicate())[0].decode()
    assert running.process.returncode == 0, output
