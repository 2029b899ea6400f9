"""The page on clusters names settings, files, metrics, alerts and commands that exist."""

from __future__ import annotations

import re
import subprocess
import sys

import yaml

from pnl_backend.settings.model import Settings
from tests.ops.test_metrics import exposed
from tests.support.server import ROOT

PAGE = (ROOT / "docs" / "cluster.md").read_text()
QUOTED = set(re.findall(r"`([^`\n]+)`", PAGE))
GROUPS = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]


def test_every_setting_and_word_in_capitals_is_one() -> None:
    settings = {name.upper() for name in Settings.model_fields}
    compose = (ROOT / "deploy" / "compose.cluster.yaml").read_text()
    named = {word.split("=")[0] for word in QUOTED if re.fullmatch(r"[A-Z][A-Z_]{3,}(=\S+)?", word)}
    named |= set(re.findall(r"^\s*([A-Z][A-Z_]+)=", PAGE, re.MULTILINE))
    assert {"ROLE", "BUS_URL", "DATABASE_URL", "LEASE_MS"} <= named
    assert {name for name in named - settings if f"${{{name}:?}}" not in compose} == set()


def test_every_alert_of_a_cluster_is_named_and_no_other() -> None:
    (cluster,) = (group["rules"] for group in GROUPS if group["name"] == "pnl-backend-cluster")
    assert {word for word in QUOTED if re.fullmatch(r"Pnl[A-Za-z]+", word)} == {rule["alert"] for rule in cluster}


def test_every_metric_exists() -> None:
    there = {line.split("{")[0].split(" ")[0] for line in exposed().render()[0].decode().splitlines()}
    named = {word.split("{")[0] for word in QUOTED if word.startswith("pnl_")} - {"pnl_owner", "pnl_reader"}
    assert named
    assert named <= there


def test_every_file_is_there() -> None:
    named = set(re.findall(r"deploy/[\w./@-]+\w/?", PAGE)) - {"deploy/cluster.env", "deploy/kubernetes/secrets.yaml"}
    assert len(named) >= 8
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_command_is_one() -> None:
    for command in set(re.findall(r"pnl-backend ((?:ledger )?[a-z]+)\b", PAGE)):
        done = subprocess.run(
            [sys.executable, str(ROOT / "server.py"), *command.split(), "--help"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, command
