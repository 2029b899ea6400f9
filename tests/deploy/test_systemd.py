"""The systemd units as systemd itself judges them."""

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
from tests.deploy.proxy import ROOT
from tests.support.server import ServerProcess

UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("pnl-backend.service", "pnl-backup.service")
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


def test_the_check_comes_before_the_start() -> None:
    text = (UNITS / "pnl-backend.service").read_text()
    assert f"ExecStartPre={COMMAND} check\nExecStart={COMMAND} serve\n" in text


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
