"""npm packages for tests that drive real JavaScript clients, installed from their lock file when missing."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js 20 or newer; the build has it")
PACKAGE = Path(__file__).resolve().parents[1] / "engine" / "node"
LONGEST_LINE = 1 << 20
"""Bytes; asyncio's own limit of 64 KiB is close to what a long replay prints."""
WHOLE_LINES = """
import { writeFileSync as writeOut } from "node:fs";
console.log = (line) => writeOut(1, `${line}\\n`);
"""
"""Node writes to a full pipe in the background, and `process.exit` drops what is still to be written. This waits."""


def node_modules() -> Path:
    """The folder to run scripts in; parallel test workers install once."""
    npm = shutil.which("npm")
    assert npm is not None, "mark the test with needs_node"
    with (PACKAGE / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = PACKAGE / "node_modules" / ".package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < (PACKAGE / "package-lock.json").stat().st_mtime:
            subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=PACKAGE, check=True, capture_output=True)
            installed.touch()
    return PACKAGE


async def run_script(
    script: str, *arguments: str, timeout: float = 60.0, seen: Callable[[Any], None] | None = None
) -> list[Any]:
    """Run an ES module in that folder; answers the JSON lines that it printed, its other output is in the error.

    `seen` is called with each of them as it comes.
    """
    folder = await asyncio.to_thread(node_modules)
    process = await asyncio.create_subprocess_exec(
        "node", "--input-type=module", "-e", WHOLE_LINES + script, "--", *arguments,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=LONGEST_LINE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    complaints = asyncio.create_task(process.stderr.read())
    output: list[str] = []
    found: list[Any] = []
    try:
        async with asyncio.timeout(timeout):
            async for line in process.stdout:
                output.append(line.decode())
                if output[-1].startswith(("{", "[")):
                    found.append(json.loads(output[-1]))
                    if seen is not None:
                        seen(found[-1])
            await process.wait()
    except TimeoutError:
        process.kill()
        raise AssertionError(f"the script did not end:\n{''.join(output)}\n{(await complaints).decode()}") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{''.join(output)}\n{(await complaints).decode()}"
    return found
