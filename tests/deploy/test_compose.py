"""The compose file: what it starts is confined, has its settings, and takes the commands that the page shows."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dockerfile import DEPLOY, SETTINGS, environment

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
FILES = ("compose.yaml", "compose.cluster.yaml")


def test_every_command_of_the_page_is_one() -> None:
    text = (DEPLOY / "README.md").read_text()
    services = set(COMPOSE["services"])
    lines = re.findall(r"^docker compose -f deploy/compose.yaml (?:exec|run)(?: -\S+)* (\w+) (.+)$", text, re.MULTILINE)
    assert len(lines) >= 3
    for service, command in lines:
        assert service in services, command
        assert command.removeprefix("pnl-backend ").split()[0] in {"backup", "restore", "export"}, command


@pytest.mark.parametrize("file", FILES)
def test_every_service_of_the_compose_files_is_confined(file: str) -> None:
    for name, service in yaml.safe_load((DEPLOY / file).read_text())["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["mem_limit"], name
        assert service["restart"] == "unless-stopped", name
        assert not {"privileged", "cap_add", "network_mode", "devices"} & set(service), name
        image = service["image"]
        assert "build" in service or re.fullmatch(r"[a-z]+:\d[\w.-]+", image), image
        # Of the image itself, or named here: never root.
        assert "build" in service or re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name


def test_a_single_server_is_published_on_loopback_alone() -> None:
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


async def test_the_redis_of_the_compose_file_stores_nothing_and_evicts(tmp_path: Path, redis_server: Any) -> None:
    command = COMPOSE["services"]["redis"]["command"]
    await redis_server.stop()
    await redis_server.start(*command[1:])
    asking = await asyncio.create_subprocess_exec(
        "redis-cli" if shutil.which("redis-cli") else str(Path(redis_server.executable).with_name("redis-cli")),
        "-p", str(redis_server.port), "config", "get", "maxmemory-policy", stdout=subprocess.PIPE,
    )  # fmt: skip
    said, _ = await asking.communicate()
    assert said.split() == [b"maxmemory-policy", b"allkeys-lru"]
