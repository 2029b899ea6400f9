"""The pages that add something: their steps are followed in a copy of the project, and what they add is used."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, STEPS, apply, blocks, project_copy, run
from tests.support.feeds import plain_socket
from tests.support.server import ServerProcess

pytestmark = [pytest.mark.slow(15), pytest.mark.timeout(300)]


def followed(name: str, folder: Path) -> Path:
    """A copy in which every step of a page was done in order; each of its commands succeeds."""
    page = ROOT / "docs" / "contributing" / name
    assert page in STEPS
    tree = project_copy(folder / "project")
    for block in blocks(page, "python", "diff", "sh"):
        if block.language != "sh":
            apply(block, tree)
        elif not block.info:
            code, said = run(block.text, tree)
            assert code == 0, f"{block.text}\n{said}"
    return tree


def clean(tree: Path) -> None:
    """What the steps wrote passes the linters."""
    changed = "$(git diff --cached --name-only -- '*.py')"
    ours = "$(git diff --cached --name-only -- 'pnl_backend/*.py')"
    linters = (f"ruff check {changed}", f"ruff format --check {changed}", "lint-imports", f"mypy {ours}")
    for command in ("git add --all", *(f".venv/bin/{linter}" for linter in linters)):
        code, said = run(command, tree)
        assert code == 0, said


@asynccontextmanager
async def served(tree: Path, **env: str) -> AsyncIterator[ServerProcess]:
    """The copy's own server."""
    folder = tree / "data"
    program = (sys.executable, str(tree / "server.py"))
    server = ServerProcess(folder, program=program, DEMO="true", PYTHONPATH=str(tree), **env)
    try:
        yield await server.start()
    finally:
        await server.close()


async def test_a_route_is_added_as_the_page_says(tmp_path: Path) -> None:
    tree = followed("adding-a-route.md", tmp_path)
    clean(tree)
    async with served(tree) as server:
        answer = await server.get("/api/uptime?unit=ms")
        assert answer["success"] is True
        assert answer["data"]["unit"] == "ms"
        assert answer["data"]["uptime"] > 0
        described = (await server.get("/openapi.json"))["paths"]["/api/uptime"]["get"]
        assert described["parameters"][0]["schema"]["enum"] == ["s", "ms"]
        assert {"200", "400", "401", "403", "429"} <= described["responses"].keys()
    async with served(tree, API_KEY="some-key") as server:
        assert (await server.get("/api/uptime"))["error"]["code"] == "missing_api_key"


async def test_a_setting_is_added_as_the_page_says(tmp_path: Path) -> None:
    tree = followed("adding-a-setting.md", tmp_path)
    clean(tree)
    before, after = ((root / ".env.example").read_text().splitlines() for root in (ROOT, tree))
    added = [line for line in after if line not in before]
    assert added == ["# a line in the log for each REST request", "# ACCESS_LOG=true"]
    code, said = run("ACCESS_LOG=perhaps .venv/bin/pnl-backend check", tree)
    assert code == 2
    assert "ACCESS_LOG: given 'perhaps', allowed: true or false" in said
    (tree / ".env").write_text("ACESS_LOG=false\n")
    code, said = run(".venv/bin/pnl-backend check", tree)
    assert code == 2
    assert "did you mean ACCESS_LOG?" in said


async def test_a_source_is_added_as_the_page_says(tmp_path: Path) -> None:
    tree = followed("adding-a-source.md", tmp_path)
    clean(tree)
    code, touched = run("git status --porcelain --untracked-files=all", tree)
    assert code == 0
    outside = [line for line in touched.splitlines() if "pnl_backend/sources/cloud_bill/" not in line]
    assert outside == []
    async with served(tree, UPDATE_INTERVAL_MS="100") as server:
        while (snapshot := (await server.get("/api/pnl/current"))["data"])["sources"]["cloud-bill"]["status"] != "live":
            continue
        assert snapshot["components"]["cloud-bill"] == {"spent": 123.45, "credited": 1.01}


async def test_a_transport_is_added_as_the_page_says(tmp_path: Path) -> None:
    tree = followed("adding-a-transport.md", tmp_path)
    clean(tree)
    async with served(tree, UPDATE_INTERVAL_MS="100") as server, plain_socket(server.url, "/snapshots") as client:
        seen = [await client.read() for _ in range(4)]
    seqs = [snapshot["seq"] for snapshot in seen]
    assert seqs == list(range(seqs[0], seqs[0] + 4))
    assert all(snapshot["simulated"] is True for snapshot in seen)
