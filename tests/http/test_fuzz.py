"""Schemathesis asks every described route, well and badly, and holds each answer against the description."""

import asyncio
import sys
from pathlib import Path

from pnl_backend.access.keys import Keys
from pnl_backend.access.wrongkeys import Authenticator
from tests.http.support import ADMIN_KEY, READ_KEY, House

CONFIG = Path(__file__).with_name("schemathesis.toml")
PROGRAM = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"


async def test_schemathesis_finds_no_failure(serve, tmp_path):
    # It expects 401 or 403 for every wrong key, however many it tries.
    authenticator = Authenticator(Keys(read=[READ_KEY], admin=[ADMIN_KEY]), limit=100_000)
    http = await serve(House(records=200), authenticator=authenticator)
    options = ["--checks", "all", "--max-examples", "15", "--seed", "1"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, "--config-file", str(CONFIG), "--no-color", "run", f"http://127.0.0.1:{http.port}/openapi.json",
        "--header", f"X-API-Key: {ADMIN_KEY}", *options,
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
