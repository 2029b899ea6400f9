"""The image, without a Docker engine: what its file would build is laid out and started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.deploy.dockerfile import DEPLOY, FINAL, INSTRUCTIONS, LAST, SETTINGS, environment, final
from tests.deploy.proxy import ROOT
from tests.support.installed import BUILT_DASHBOARD, UV, once, run


def test_it_is_built_in_stages_from_pinned_names() -> None:
    assert LAST >= 2
    for instruction in INSTRUCTIONS:
        if instruction.name == "FROM":
            image = instruction.value.split()[0]
            assert re.fullmatch(r"[a-z]+:\d[\w.-]+", image), image
    # What only builds does not run.
    assert not any("pip install" in run or "npm" in run for run in final("RUN"))


def test_it_keeps_to_the_plain_rules() -> None:
    names = {instruction.name for instruction in INSTRUCTIONS}
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    assert names <= known | {"ENTRYPOINT", "CMD"}
    for instruction in INSTRUCTIONS:
        assert "sudo" not in instruction.value
        assert not re.search(r"curl .*\| *(ba)?sh", instruction.value)
        if instruction.name in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(instruction.value), list)
    assert len(final("HEALTHCHECK")) == len(final("ENTRYPOINT")) == len(final("CMD")) == 1


def test_it_does_not_run_as_root_and_holds_no_secret() -> None:
    (user,) = final("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    order = [instruction.name for instruction in FINAL]
    assert order.index("USER") > max(index for index, name in enumerate(order) if name in ("COPY", "RUN"))
    named = environment().keys()
    assert {name for name in named if name in SETTINGS} == named - {
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED",
    }
    assert not {name for name in named if re.search("KEY|TOKEN|SECRET|PASSWORD", name)}


def test_only_what_is_copied_is_sent_to_the_build() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    admitted = {line[1:].rstrip("/") for line in rules if line.startswith("!")}
    copied = {
        source.rstrip("/").split("/")[0]
        for instruction in INSTRUCTIONS
        if instruction.name == "COPY" and "--from" not in instruction.value
        for source in instruction.value.split()[:-1]
    }
    assert admitted == copied
    assert not admitted & {".env", "data", "logs", ".git"}


@dataclass
class Container:
    """What `docker run` would start, with the paths of the host in place of the image's."""

    environment: dict[str, str]
    volume: Path

    def command(self, *given: str) -> list[str]:
        """The entry point with these words, or with the image's own where there are none."""
        return [*json.loads(final("ENTRYPOINT")[0]), *(given or json.loads(final("CMD")[0]))]

    async def run(self, *given: str) -> tuple[int | None, str]:
        """As `docker run IMAGE WORDS`; answers the exit code and the output."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*given), cwd=self.volume, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode, output.decode()


@pytest.fixture(scope="session")
def image(shared_folder: Path) -> Path:
    """The files that the stage of the packages makes, by its own instructions; /venv is in it."""
    return once(shared_folder, "image", lay_out)


def lay_out(folder: Path) -> None:
    (stage,) = {i.stage for i in INSTRUCTIONS if i.name == "FROM" and i.value.endswith(" AS packages")}
    build = folder / "build"
    build.mkdir()
    for instruction in INSTRUCTIONS:
        if instruction.stage != stage:
            continue
        if instruction.name == "COPY":
            *sources, target = instruction.value.split()
            for source in sources[1:] if sources[0].startswith("--from") else sources:
                copy(BUILT_DASHBOARD if source == "/build/dist" else ROOT / source, build / target)
        elif instruction.name == "RUN":
            # uv in the place of pip: the same packages, faster.
            command = instruction.value.replace("python -m venv /venv", f"{UV} venv --python {sys.executable} /venv")
            command = command.replace("/venv/bin/python -m pip install", f"{UV} pip install --python /venv")
            command = command.replace("--no-cache-dir ", "").replace("/venv", str(folder / "venv"))
            run(["sh", "-c", command], build)


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():  # all but the dashboard, where it is not built
        shutil.copy(source, target)


@pytest.fixture
def container(image: Path, tmp_path: Path) -> Container:
    """The final stage's environment; it has nothing of the project but /venv."""
    assert final("COPY") == ["--from=packages /venv /venv"]
    (tmp_path / "data").mkdir()
    env = environment() | {
        "PATH": environment()["PATH"].replace("/venv", str(image / "venv")).replace("$PATH", os.environ["PATH"]),
        "DB_PATH": str(tmp_path / "data" / "pnl.db"),
        "LOG_DIR": str(tmp_path / "logs"),
        "BACKUP_DIR": str(tmp_path / "data" / "backups"),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "DEMO": "true",
        "API_KEY": "a-read-key-of-more-than-thirty-two-characters",
    }
    return Container(env, tmp_path / "data")


@contextlib.asynccontextmanager
async def running(container: Container) -> AsyncIterator[str]:
    """The image without a command of one's own; yields the port of its server."""
    process = await asyncio.create_subprocess_exec(
        *container.command(), cwd=container.volume, env=container.environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(30):
            async for line in process.stdout:
                said += line.decode()
                if found := re.search(r"server ready: http://[^\s\":]+:(\d+)", said):
                    break
            else:
                raise AssertionError(said)
        drain = asyncio.create_task(process.stdout.read())
        yield found[1]
        process.terminate()
        assert await process.wait() == 0
        await drain
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_what_is_copied_runs_and_has_a_health_check(container: Container) -> None:
    async with running(container) as port:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/health/ready") as answer:
                assert answer.status == 200
            async with session.get("/") as answer:
                assert ('id="root"' in await answer.text()) == (BUILT_DASHBOARD / "index.html").exists()
        command = json.loads(final("HEALTHCHECK")[0].partition("CMD")[2])
        for asked, healthy in ((port, True), ("1", False)):
            env = container.environment | {"PORT": asked}
            probe = await asyncio.create_subprocess_exec(*command, env=env, stderr=subprocess.DEVNULL)
            assert (await probe.wait() == 0) is healthy


async def test_the_commands_of_the_ledger_work_in_the_image(container: Container) -> None:
    async with running(container):
        code, said = await container.run("backup")  # beside the running server
        assert code == 0, said
        code, said = await container.run("export", "--resolution", "raw", "--format", "json")
        assert code == 0, said
        assert said.lstrip().startswith("[{"), said
    backup = min((container.volume / "backups").glob("*.db"))
    code, said = await container.run("restore", f"backups/{backup.name}")
    assert code == 0, said
    async with running(container):
        pass


def test_the_entry_point_is_the_command_and_it_serves_by_default(container: Container) -> None:
    assert json.loads(final("ENTRYPOINT")[0]) == ["pnl-backend"]
    assert json.loads(final("CMD")[0]) == ["serve"]
    assert final("WORKDIR") == ["/data"]
    assert environment()["PATH"].startswith("/venv/bin:")
    assert final("VOLUME") == ['["/data"]']


def test_bytecode_is_in_the_image(image: Path) -> None:
    (package,) = (image / "venv").glob("lib/python*/site-packages/pnl_backend")
    sources = list(package.rglob("*.py"))
    assert sources
    assert all(list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")) for path in sources)
