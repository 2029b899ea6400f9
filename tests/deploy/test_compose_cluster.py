"""The compose file of a cluster: its parts fit together, and what its shells make is what the programs take."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis.asyncio
import yaml
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError

from pnl_backend.settings.model import Settings
from tests.deploy.dockerfile import DEPLOY, SETTINGS
from tests.deploy.proxy import CLUSTER_SITE, NODES, free_ports, self_signed

TEXT = (DEPLOY / "compose.cluster.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
NODE_NAMES = ("node1", "node2")


def address_of(name: str) -> str:
    return str(SERVICES[name]["networks"]["front"]["ipv4_address"])


def test_both_nodes_are_the_same_but_for_address_and_files() -> None:
    first, second = ({**SERVICES[name]} for name in NODE_NAMES)
    for node in (first, second):
        assert set(node.pop("networks")) == {"front", "data"}
    assert (first.pop("volumes"), second.pop("volumes")) == (["node1:/data"], ["node2:/data"])
    assert first == second
    assert set(COMPOSE["volumes"]) == {*NODE_NAMES, "postgres"}


def test_the_nodes_name_the_other_parts_by_names_that_exist() -> None:
    settings = SERVICES["node1"]["environment"]
    for setting, service in (("BUS_URL", "redis"), ("DATABASE_URL", "postgres")):
        assert urlsplit(re.sub(r"\$\{\w+:\?\}", "word", settings[setting])).hostname == service
    assert settings["TRUSTED_PROXIES"] == address_of("nginx")
    (subnet,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    for name in (*NODE_NAMES, "nginx"):
        assert ipaddress.ip_address(address_of(name)) in ipaddress.ip_network(subnet["subnet"])


def test_the_nodes_start_with_their_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given = SERVICES["node1"]["environment"]
    assert set(given) <= SETTINGS
    for name, value in given.items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:\?\}", "0123456789abcdef", value))
    monkeypatch.setenv("API_KEY", "a-read-key-of-more-than-thirty-two-characters")
    loaded = Settings(_env_file=None)
    assert (loaded.role, loaded.production) == ("all", True)
    assert loaded.bus_url is not None
    assert loaded.database_url is not None


def test_only_nginx_is_reached_from_outside_and_the_stores_reach_nothing() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert COMPOSE["networks"]["data"]["internal"] is True
    assert SERVICES["redis"]["networks"] == SERVICES["postgres"]["networks"] == ["data"]
    assert set(SERVICES["nginx"]["networks"]) == {"front"}


def test_nothing_secret_stands_in_the_file_and_what_is_missing_stops_the_start() -> None:
    asked = set(re.findall(r"\$\{(\w+)", TEXT))
    assert asked == set(re.findall(r"\$\{(\w+):\?\}", TEXT))
    explained = TEXT[: TEXT.index("name: pnl-cluster")]
    assert {name for name in asked if name not in explained} == set()
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or re.fullmatch(r"\$\{\w+:\?\}", value), name


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx (Debian: nginx-light)")
def test_nginx_takes_the_site_that_its_shell_makes(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    script = SERVICES["nginx"]["entrypoint"][2].replace("$$", "$").partition("&& exec nginx")[0]
    for there, here in (
        ("/tmp/", f"{tmp_path}/"),  # first: what is put in may lie under /tmp itself
        ("/etc/pnl/", f"{CLUSTER_SITE.parent}/"),
        ("/run/secrets/certificate", str(certificate)),
        ("/run/secrets/key", str(key)),
    ):
        assert there in script
        script = script.replace(there, here)
    subprocess.run(["sh", "-c", script], env={"PATH": os.environ["PATH"], "SERVER_NAME": "pnl.company.org"}, check=True)
    site = tmp_path / "pnl.conf"
    text = site.read_text()
    assert "example.com" not in "".join(line for line in text.splitlines() if not line.startswith("#"))
    assert "127.0.0.1:3" not in text
    for name in NODE_NAMES:
        assert text.count(f"server {address_of(name)}:3000 ") == 3
    assert len(NODES[CLUSTER_SITE]) == len(NODE_NAMES)
    for shipped, port in zip(("listen 80;", "listen 443 "), free_ports(2), strict=True):
        text = text.replace(shipped, f"listen 127.0.0.1:{port}{shipped[-1]}")
    site.write_text(text)
    main = tmp_path / "nginx.conf"
    main.write_text((DEPLOY / "nginx" / "nginx.conf").read_text().replace("/tmp/", f"{tmp_path}/"))
    done = subprocess.run(["nginx", "-t", "-c", str(main)], capture_output=True, text=True, check=False)
    assert "test is successful" in done.stderr, done.stderr


async def test_redis_asks_for_a_password_and_throws_nothing_out(tmp_path: Path, redis_server: Any) -> None:
    (port,) = free_ports(1)
    script = SERVICES["redis"]["entrypoint"][2].replace("$$", "$").replace("/data/", f"{tmp_path}/")
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", script.replace("redis-server", redis_server.executable) + f" --port {port} --dir {tmp_path}",
        env={"PATH": os.environ["PATH"], "REDIS_PASSWORD": "letters"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with (
            redis.asyncio.Redis(port=port, password="letters", retry=Retry(NoBackoff(), 0)) as client,
            asyncio.timeout(20),
        ):
            while True:
                try:
                    found = await client.config_get("maxmemory-policy", "save", "appendonly")
                    break
                except redis.exceptions.ConnectionError:
                    await asyncio.sleep(0.02)
            assert found == {"maxmemory-policy": "noeviction", "save": "", "appendonly": "no"}
        async with redis.asyncio.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.ping()
    finally:
        process.kill()
        await process.wait()
