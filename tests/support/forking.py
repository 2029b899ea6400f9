"""Processes that run `server.py` without its imports: each is forked from one that has done them.

Importing the server's modules takes a second of processor time, a fork takes milliseconds. Everything else is what
`python server.py` does: the file itself is run as `__main__`, in a process, folder and environment of its own, with its
own arguments and output. One parent of forks serves a test worker and ends with it, and its children end with it.

With TESTS_FORK=0 nothing is forked; other programs and other interpreter settings never are.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
SERVER = str(ROOT / "server.py")
LARGEST_REQUEST = 1 << 18
"""Bytes of a request: folder, arguments and environment."""
NUMBER = struct.Struct("=i")
INTERPRETERS_OWN = ("PYTHON", "LC_", "LD_", "TZ")
"""Variables that the interpreter or a library reads when it starts begin with one of these."""


def can_fork(program: Sequence[str], env: dict[str, str]) -> bool:
    """Whether a fork does what a start of this program in this environment would do."""
    special = [name for name in env if name.startswith(INTERPRETERS_OWN) and name != "PYTHONUNBUFFERED"]
    wanted = sys.platform == "linux" and os.environ.get("TESTS_FORK") != "0"
    return wanted and tuple(program) == (sys.executable, SERVER) and not special


class Forked:
    """A process that was forked, with those members of `asyncio.subprocess.Process` that tests use."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader, status: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._ended = asyncio.create_task(self._end(status))

    async def _end(self, status: asyncio.StreamReader) -> int:
        given = await status.read()
        assert given, "the parent of the forks has ended"
        self.returncode = NUMBER.unpack(given)[0]
        return self.returncode

    async def wait(self) -> int:
        """The exit code; the negative number of the signal that ended it."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def communicate(self) -> tuple[bytes, None]:
        """Its output, both streams together, once it has ended."""
        output = await self.stdout.read()
        await self.wait()
        return output, None


async def fork_server(directory: Path, arguments: Sequence[str], env: dict[str, str]) -> Forked:
    """Run `server.py` with these arguments, this folder and no other variables; both outputs are its `stdout`."""
    output, child_output = os.pipe()
    status, child_status = os.pipe()
    try:
        pid = _parent().fork(directory, arguments, env, child_output, child_status)
    finally:
        os.close(child_output)
        os.close(child_status)
    return Forked(pid, await _reader(output), await _reader(status))


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


class Parent:
    """The process that forks, seen from the test worker."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forking", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, directory: Path, arguments: Sequence[str], env: dict[str, str], output: int, status: int) -> int:
        """The pid of the new process. Takes milliseconds, the first time as long as the imports do."""
        request = json.dumps([str(directory), list(arguments), env]).encode("utf-8", "surrogateescape")
        assert len(request) < LARGEST_REQUEST
        socket.send_fds(self._socket, [request], [output, status])
        pid: int = NUMBER.unpack(self._socket.recv(NUMBER.size))[0]
        return pid


@functools.cache
def _parent() -> Parent:
    return Parent()


# What follows runs in the parent of the forks and in its children.


@dataclass
class Request:
    directory: str
    arguments: list[str]
    env: dict[str, str]
    output: int
    status: int


def main(control: socket.socket) -> NoReturn:
    """Fork on request until the worker closes its socket; in each child, run the server."""
    _import_everything()
    gc.freeze()
    request = _fork_on_request(control)
    control.close()
    _become(request)
    sys.argv = [SERVER, *request.arguments]
    runpy.run_path(SERVER, run_name="__main__")
    sys.exit()


def _import_everything() -> None:
    import pnl_backend

    for module in pkgutil.walk_packages(pnl_backend.__path__, "pnl_backend."):
        if not module.name.endswith("__main__") and ".testing" not in module.name:
            importlib.import_module(module.name)
    importlib.import_module("uvloop")


def _fork_on_request(control: socket.socket) -> Request:
    """Returns in children alone."""
    children: dict[int, int] = {}
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if wake in ready:
                os.read(wake, 4096)
                _report_ended(children)
            if control.fileno() not in ready:
                continue
            request = _receive(control)
            if request is None:
                _end(children)
            pid = os.fork()
            if pid == 0:
                for descriptor in (wake, woken, *children.values(), request.status):
                    os.close(descriptor)
                signal.set_wakeup_fd(-1)
                return request
            os.close(request.output)
            children[pid] = request.status
            control.send(NUMBER.pack(pid))


def _receive(control: socket.socket) -> Request | None:
    """The next request; None where the worker has ended."""
    text, descriptors, _, _ = socket.recv_fds(control, LARGEST_REQUEST, 2)
    if not text:
        return None
    directory, arguments, env = json.loads(text.decode("utf-8", "surrogateescape"))
    return Request(directory, arguments, env, *descriptors)


def _report_ended(children: dict[int, int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        descriptor = children.pop(pid)
        with suppress(BrokenPipeError):
            os.write(descriptor, NUMBER.pack(os.waitstatus_to_exitcode(status)))
        os.close(descriptor)


def _end(children: dict[int, int]) -> NoReturn:
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _become(request: Request) -> None:
    """Make a fork what the start of an interpreter would have made."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor in (1, 2):
        os.dup2(request.output, descriptor)
    os.close(request.output)
    os.environ.clear()
    os.environ.update(request.env)
    time.tzset()
    os.chdir(request.directory)
    sys.path[0] = str(ROOT)
    if "PYTHONUNBUFFERED" in request.env:
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", write_through=True)
    else:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the standard output


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
