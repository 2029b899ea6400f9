"""The real server in a process of its own, in a directory of its own, used through its public interfaces only."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from pnl_backend.simulator import Credentials, Simulator
from tests.support import forking
from tests.support.forking import Forked, can_fork, fork_server
from tests.waiting import PATIENCE

ROOT = forking.ROOT
PROGRAM = (sys.executable, forking.SERVER)
READY = re.compile(r"P&L server ready: (http://\S+:(\d+))")

FAST = {
    "UPDATE_INTERVAL_MS": "100",
    "FETCH_TIMEOUT_MS": "300",
    "KALSHI_POLL_MS": "100",
    "ANTHROPIC_POLL_MS": "100",
    "JOHNS_POLL_MS": "100",
    "CIRCUIT_BREAKER_RESET_TIMEOUT": "700",
    "RATE_LIMIT_PER_MINUTE": "0",
}
"""Timings that let a scenario of minutes pass in seconds."""


async def start_process(
    program: Sequence[str], directory: Path, arguments: Sequence[str], env: dict[str, str]
) -> asyncio.subprocess.Process | Forked:
    """A process in that folder with these variables alone; both outputs are its `stdout`."""
    if can_fork(program, env):
        return await fork_server(directory, arguments, env)
    return await asyncio.create_subprocess_exec(
        *program, *arguments, cwd=directory, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )


RUNNING: set[ServerProcess] = set()
"""Those whose process was started and has not been waited for."""


class ServerProcess:
    """`python server.py` with given settings; `log` is all that it wrote to the console, `prefix` what runs it.

    `program` is started in its place.
    """

    def __init__(
        self,
        directory: Path,
        *prefix: str,
        program: Sequence[str] = PROGRAM,
        arguments: Sequence[str] = (),
        **env: str,
    ) -> None:
        self.directory = directory
        self.prefix = prefix
        self.program = program
        self.arguments = arguments
        self.env = {"PORT": "0", "LOG_LEVEL": "info", **env}
        self.url = ""
        self.port = 0
        self.log = ""
        self._process: asyncio.subprocess.Process | Forked | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def start(self, *, timeout: float = PATIENCE) -> ServerProcess:
        """Start and return when it says that it is ready; the log is in the error if it does not."""
        self._ready = asyncio.Event()
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        env = {**kept, "PYTHONUNBUFFERED": "1", **self.env}
        self._process = await start_process((*self.prefix, *self.program), self.directory, self.arguments, env)
        RUNNING.add(self)
        self._reader = asyncio.create_task(self._read())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ready, self._reader}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.is_set():
            ready.cancel()
            await self.kill()
            raise AssertionError(f"the server did not get ready:\n{self.log}")
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self, timeout: float = PATIENCE) -> int:
        """The exit code."""
        assert self._process is not None
        assert self._reader is not None
        async with asyncio.timeout(timeout):
            code = await self._process.wait()
            RUNNING.discard(self)
            await self._reader
        return code

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.wait()

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await self.wait()

    async def close(self) -> None:
        """End it whatever state it is in."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()

    async def get(self, path: str, **headers: str) -> Any:
        """The parsed body of a GET, whatever its status."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path, headers=headers) as answer:
            return await answer.json()

    async def until(self, path: str, condition: Any, *, timeout: float = PATIENCE, every: float = 0.02) -> Any:
        """Ask until the condition holds of the answer; the last answer is in the error if it never does.

        `every` so many seconds: where RATE_LIMIT_PER_MINUTE is left at its 100, 0.7 stays below it.
        """
        answer = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    answer = await self.get(path)
                    if condition(answer):
                        return answer
                    await asyncio.sleep(every)
        except TimeoutError:
            raise AssertionError(f"{path} never got there; last answer: {answer}\n{self.log[-3000:]}") from None

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Read the ledger's file directly."""
        (path,) = [p for p in self.directory.glob("data/*.db") if "cache" not in p.name]
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            return connection.execute(sql, parameters).fetchall()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode(errors="replace")
            self.log += text
            if found := READY.search(text):
                self.url, self.port = found[1], int(found[2])
                self._ready.set()


@contextmanager
def no_server_left() -> Iterator[None]:
    """Kill those servers that were started in this block and still run.

    A test whose set-up fails leaves its server running, and each such server makes all later tests slower.
    """
    before = set(RUNNING)
    yield
    for server in RUNNING - before:
        RUNNING.discard(server)
        with suppress(ProcessLookupError):
            server.signal(signal.SIGKILL)


async def command(directory: Path, *arguments: str, **env: str) -> tuple[int | None, str]:
    """Run `pnl-backend` with these arguments; answers its exit code and output, both streams together."""
    env = {"PATH": os.environ["PATH"], **env}
    process = await start_process(PROGRAM, directory, arguments, env)
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


def upstream_env(simulator: Simulator, credentials: Credentials) -> dict[str, str]:
    """What an owner would put into `.env` to reach these upstreams."""
    return simulator.environment(credentials)
