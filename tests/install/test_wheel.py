"""The installed wheel in an empty folder: page, demo, ledger, logs and commands, with no checkout around."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.installed import ROOT, Installed, documented, needs_dashboard, run
from tests.support.server import ServerProcess

pytestmark = [needs_dashboard, pytest.mark.slow]


@pytest.fixture
async def server(product: Installed, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """`pnl-backend` with no setting at all; the port alone is given, for another may run on 3000."""
    process = ServerProcess(tmp_path, program=[product.command], arguments=["--port", "0"])
    process.env = {}
    await process.start()
    yield process
    assert await process.stop() == 0


def seen(answer: Any) -> bool:
    return bool(answer.get("success"))


def outside(product: Installed, folder: Path, *arguments: str) -> str:
    """Run the installed command with no setting; answers its output."""
    command = [product.command, *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


async def test_the_page_and_its_scripts_come_with_the_package(server: ServerProcess) -> None:
    async with aiohttp.ClientSession(server.url) as session:
        async with session.get("/") as answer:
            assert answer.status == 200
            page = await answer.text()
        assert 'id="root"' in page
        loaded = re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))"', page)
        assert any(name.endswith(".js") for name in loaded)
        for name in loaded:
            async with session.get(name) as answer:
                assert (answer.status, answer.content_type.partition("/")[2].removeprefix("x-")) == (
                    200,
                    "css" if name.endswith(".css") else "javascript",
                )
                assert await answer.read()


async def test_the_demo_runs_and_its_files_are_in_the_current_folder(server: ServerProcess) -> None:
    answer = await server.until("/api/pnl/current", seen, every=0.7)
    assert answer["data"]["simulated"] is True
    assert answer["data"]["degraded"] == []
    assert (await server.get("/health"))["status"] == "healthy"
    assert (server.directory / "data" / "pnl-demo.db").is_file()
    assert (server.directory / "logs" / "combined.log").is_file()
    assert {path.name for path in server.directory.iterdir()} == {"data", "logs"}


async def test_the_commands_of_the_documentation_work(product: Installed, server: ServerProcess) -> None:
    await server.until("/api/pnl/current", seen, every=0.7)
    commands = [line for line in documented("Run") if line != "pnl-backend"]  # which is the server that runs here
    assert len(commands) >= 4
    for command in commands:
        path = f"{Path(product.command).parent}:{os.environ['PATH']}"
        await asyncio.to_thread(run, ["sh", "-c", command], server.directory, PATH=path)
    assert {path.name for path in server.directory.iterdir()} == {"data", "logs", ".env", "backups", "history.csv"}


async def test_backup_export_and_restore_work_in_the_same_folder(product: Installed, server: ServerProcess) -> None:
    await server.until("/api/pnl/current", seen, every=0.7)
    folder = server.directory
    await asyncio.to_thread(outside, product, folder, "backup", "--to", "backups")
    (copy,) = (folder / "backups").glob("*.db")
    said = await asyncio.to_thread(outside, product, folder, "export", "--resolution", "raw", "--format", "json")
    assert json.loads(said)
    assert await server.stop() == 0
    await asyncio.to_thread(outside, product, folder, "restore", str(copy))
    await server.start()
    answer = await server.until("/api/pnl/current", seen, every=0.7)
    assert answer["data"]["simulated"] is True


def test_the_help_names_the_places_of_the_files(product: Installed, tmp_path: Path) -> None:
    said = outside(product, tmp_path, "--help")
    for words in ("current folder", ".env", "data/", "logs/", "DB_PATH", "LOG_DIR"):
        assert words in said, words
    assert not list(tmp_path.iterdir())


def test_nothing_of_the_checkout_is_in_use(product: Installed, tmp_path: Path) -> None:
    asked = "import pnl_backend, importlib.metadata as m; print(pnl_backend.__file__, m.version('pnl-backend'))"
    python = str(product.environment / "bin" / "python")
    said = subprocess.run([python, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.startswith(str(product.environment)), said
    assert str(ROOT) not in said


def test_the_wheel_holds_the_package_alone(product: Installed) -> None:
    with zipfile.ZipFile(product.built.wheel) as wheel:
        names = wheel.namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"pnl_backend"}
    assert "pnl_backend/py.typed" in names
    assert "pnl_backend/dashboard/index.html" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".db", ".log", ".pem", ".env"))]
    assert "without the dashboard" not in product.built.said
