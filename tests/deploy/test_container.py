"""The image and the compose file, without a Docker engine: what they would build is laid out and started."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from pnl_backend.settings.model import Settings
from tests.deploy.proxy import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SETTINGS = {name.upper() for name in Settings.model_fields}


@dataclass(frozen=True)
class Instruction:
    stage: int
    name: str
    value: str


def instructions() -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    found, stage = [], -1
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        name, _, value = line.strip().partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, value.strip()))
    return found


INSTRUCTIONS = instructions()
LAST = max(instruction.stage for instruction in INSTRUCTIONS)
FINAL = [instruction for instruction in INSTRUCTIONS if instruction.stage == LAST]


def final(name: str) -> list[str]:
    return [instruction.value for instruction in FINAL if instruction.name == name]


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for line in final("ENV") for word in shlex.split(line))


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


def test_only_what_is_copied_leaves_the_workplace() -> None:
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


@pytest.fixture
async def container(tmp_path: Path) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The final stage's files and environment, its entry point running; only paths of the host differ."""
    app = tmp_path / "app"
    app.mkdir()
    for line in final("COPY"):
        *sources, target = line.split()
        if sources[0].startswith("--from"):
            continue
        for source in sources:
            here = ROOT / source
            there = app / (target if here.is_dir() else source)
            if here.is_dir():
                shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(here, there)
    env = environment() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DB_PATH": str(tmp_path / "data" / "pnl.db"),
        "LOG_DIR": str(tmp_path / "logs"),
        "BACKUP_DIR": str(tmp_path / "data" / "backups"),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "DEMO": "true",
        "API_KEY": "a-read-key-of-more-than-thirty-two-characters",
    }
    command = [*json.loads(final("ENTRYPOINT")[0]), *json.loads(final("CMD")[0])]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=app, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
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
        yield found[1], env
        process.terminate()
        assert await process.wait() == 0
        await drain
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_what_is_copied_runs_and_its_health_is_seen(container: tuple[str, dict[str, str]]) -> None:
    port, env = container
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
        assert answer.status == 200
    command = json.loads(final("HEALTHCHECK")[0].partition("CMD")[2])
    for asked, healthy in ((port, True), ("1", False)):
        probe = await asyncio.create_subprocess_exec(*command, env=env | {"PORT": asked}, stderr=subprocess.DEVNULL)
        assert (await probe.wait() == 0) is healthy


def test_every_service_of_the_compose_file_is_confined() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["mem_limit"], name
        assert service["restart"] == "unless-stopped", name
        assert "privileged" not in service, name
    for published in COMPOSE["services"]["server"]["ports"]:
        assert published.startswith("127.0.0.1:")
    assert "ports" not in COMPOSE["services"]["redis"]


def test_the_server_gets_settings_that_exist_and_places_to_write() -> None:
    server = COMPOSE["services"]["server"]
    assert set(server["environment"]) <= SETTINGS
    assert server["environment"]["REDIS_URL"] == "redis://redis:6379/0"
    written = [volume.partition(":")[2] for volume in server["volumes"]]
    written += [mount.partition(":")[0] for mount in server["tmpfs"]]
    for setting in ("DB_PATH", "LOG_DIR", "BACKUP_DIR"):
        assert any(environment()[setting].startswith(place) for place in written), setting
    assert (DEPLOY / server["build"]["context"] / server["build"]["dockerfile"]).is_file()


async def test_the_cache_is_told_to_keep_nothing_and_to_make_room(tmp_path: Path, redis_server: Any) -> None:
    command = COMPOSE["services"]["redis"]["command"]
    await redis_server.stop()
    await redis_server.start(*command[1:])
    asking = await asyncio.create_subprocess_exec(
        "redis-cli" if shutil.which("redis-cli") else str(Path(redis_server.executable).with_name("redis-cli")),
        "-p", str(redis_server.port), "config", "get", "maxmemory-policy", stdout=subprocess.PIPE,
    )  # fmt: skip
    said, _ = await asking.communicate()
    assert said.split() == [b"maxmemory-policy", b"allkeys-lru"]
