"""The systemd units, checked by systemd itself."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pnl_backend.settings.model import Settings
from tests.deploy.proxy import ROOT, free_ports
from tests.support.server import ServerProcess

UNITS = ROOT / "deploy" / "systemd"
TEMPLATE = "pnl-backend@.service"
SERVICES = ("pnl-backend.service", TEMPLATE, "pnl-backup.service")
COMMAND = "/opt/pnl-backend/.venv/bin/pnl-backend"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the one path that cannot be here put right."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace(COMMAND, str(Path(sys.executable).with_name("pnl-backend")))
        (tmp_path / unit.name).write_text(text)
    return tmp_path


@needs_systemd
@pytest.mark.parametrize("unit", [*SERVICES, "pnl-backup.timer"])
def test_systemd_reports_no_problem(units: Path, unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(units / unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_the_services_are_confined(units: Path, unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(units / unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@needs_systemd
def test_the_backup_runs_daily() -> None:
    (when,) = re.findall(r"OnCalendar=(.*)", (UNITS / "pnl-backup.timer").read_text())
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=3", when], capture_output=True, text=True, check=True
    )
    assert len(re.findall(r"03:15:00 UTC", done.stdout)) >= 3


@pytest.mark.parametrize("unit", ["pnl-backend.service", TEMPLATE])
def test_the_check_comes_before_the_start(unit: str) -> None:
    text = (UNITS / unit).read_text()
    assert re.search(rf"^ExecStartPre={COMMAND} check\nExecStart={COMMAND} serve( --port %i)?$", text, re.MULTILINE)


def test_a_node_of_several_is_confined_as_a_single_one_and_has_files_of_its_own() -> None:
    single, several = (
        [line for line in (UNITS / unit).read_text().splitlines() if not line.startswith("#")]
        for unit in ("pnl-backend.service", TEMPLATE)
    )
    own = [line for line in several if line not in single]
    assert own == [
        "Description=Live profit and loss, node on port %i",
        "After=network-online.target redis-server.service postgresql.service",
        "Environment=DB_PATH=%S/pnl-backend-%i/pnl.db LOG_DIR=%L/pnl-backend-%i PYTHONDONTWRITEBYTECODE=1",
        "EnvironmentFile=-/etc/pnl-backend@%i.env",
        f"ExecStart={COMMAND} serve --port %i",
        "StateDirectory=pnl-backend-%i",
        "LogsDirectory=pnl-backend-%i",
    ]
    assert len(several) == len(single) + 1  # a second file of settings


@pytest.mark.parametrize("unit", SERVICES)
def test_every_setting_is_one(unit: str) -> None:
    lines = re.findall(r"^Environment=(.*)", (UNITS / unit).read_text(), re.MULTILINE)
    names = {word.partition("=")[0] for line in lines for word in line.split()}
    assert names - {"PYTHONDONTWRITEBYTECODE"} <= {name.upper() for name in Settings.model_fields}


def test_every_command_is_one() -> None:
    commands = {
        command for unit in SERVICES for command in re.findall(rf"={COMMAND} (\w+)", (UNITS / unit).read_text())
    }
    said = subprocess.run(
        [sys.executable, str(ROOT / "server.py"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert commands == {"check", "serve", "backup"}
    assert {command for command in commands if not re.search(rf"^\s+{command}\b", said, re.MULTILINE)} == set()


async def test_two_nodes_of_the_template_run_side_by_side(tmp_path: Path) -> None:
    nodes = []
    try:
        for port in map(str, free_ports(2)):
            text = (UNITS / TEMPLATE).read_text().replace("%S", str(tmp_path)).replace("%L", str(tmp_path / "logs"))
            text = text.replace("%i", port)
            words = [word for line in re.findall(r"^Environment=(.*)", text, re.MULTILINE) for word in line.split()]
            given = dict(word.split("=", 1) for word in words)
            (arguments,) = re.findall(rf"^ExecStart={COMMAND} (.*)", text, re.MULTILINE)
            (tmp_path / f"pnl-backend-{port}").mkdir()
            key = "a-read-key-of-more-than-thirty-two-characters"
            node = ServerProcess(tmp_path, arguments=arguments.split(), **given, API_KEY=key, DEMO="true")
            nodes.append(await node.start())
            assert (await node.get("/health/ready"))["status"] == "ready"
            assert node.port == int(port)
    finally:
        for node in nodes:
            await node.close()


async def test_the_units_work_together(tmp_path: Path) -> None:
    """check, serve and backup with the units' own environments, the directories of systemd put in place."""
    kept = {"PATH": os.environ["PATH"], "API_KEY": "a-read-key-of-more-than-thirty-two-characters", "DEMO": "true"}
    (tmp_path / "pnl-backend").mkdir()

    def environment(unit: str) -> dict[str, str]:
        text = (UNITS / unit).read_text().replace("%S", str(tmp_path)).replace("%L", str(tmp_path / "logs"))
        words = [word for line in re.findall(r"^Environment=(.*)", text, re.MULTILINE) for word in line.split()]
        return {**kept, **dict(word.split("=", 1) for word in words), "PORT": "0"}

    def run(unit: str, command: str) -> None:
        done = subprocess.run(
            [sys.executable, str(ROOT / "server.py"), command],
            env=environment(unit), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    await asyncio.to_thread(run, "pnl-backend.service", "check")
    server = ServerProcess(tmp_path, **environment("pnl-backend.service"))
    await server.start()
    try:
        await asyncio.to_thread(run, "pnl-backup.service", "backup")
    finally:
        assert await server.stop() == 0
    assert list((tmp_path / "pnl-backend" / "backups").iterdir())
