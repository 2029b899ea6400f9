"""npm packages for tests that drive real JavaScript clients, installed from their lock file when missing."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "engine" / "node"


def node_modules() -> Path:
    """The folder to run scripts in; parallel test workers install once."""
    npm = shutil.which("npm")
    assert npm, "these tests need Node.js 20 or newer with npm"
    with (PACKAGE / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = PACKAGE / "node_modules" / ".package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < (PACKAGE / "package-lock.json").stat().st_mtime:
            subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=PACKAGE, check=True, capture_output=True)
            installed.touch()
    return PACKAGE


async def run_script(script: str, *arguments: str, timeout: float = 60.0) -> list[Any]:
    """Run an ES module in that folder; answers the JSON lines that it printed, its other output is in the error."""
    folder = await asyncio.to_thread(node_modules)
    process = await asyncio.create_subprocess_exec(
        "node", "--input-type=module", "-e", script, "--", *arguments,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        output, errors = await process.communicate()
        raise AssertionError(f"the script did not end:\n{output.decode()}\n{errors.decode()}") from None
    assert process.returncode == 0, f"{output.decode()}\n{errors.decode()}"
    return [json.loads(line) for line in output.decode().splitlines() if line.startswith(("{", "["))]
