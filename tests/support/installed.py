"""The packages that `make wheel` builds, and the wheel installed with the lock's pins, each once in a test run."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server import ROOT

BUILT_DASHBOARD = ROOT / "client" / "dist"
needs_dashboard = pytest.mark.skipif(
    not (BUILT_DASHBOARD / "index.html").exists(), reason="needs the built dashboard (make client)"
)
UV = str(Path(sys.executable).with_name("uv"))
_NOT_COPIED = (
    ".git", ".venv", "node_modules", "data", "logs", "build", "*.egg-info", "__pycache__", ".env", ".*_cache",
    ".hypothesis", "screenshots",
)  # fmt: skip


@dataclass(frozen=True)
class Built:
    """`source` is a copy of the project, `said` what `make wheel` printed in it."""

    source: Path
    wheel: Path
    sdist: Path
    said: str


@dataclass(frozen=True)
class Installed:
    built: Built
    environment: Path

    @property
    def command(self) -> str:
        return str(self.environment / "bin" / "pnl-backend")


def copy_project(target: Path) -> Path:
    """The project's files, with the built dashboard where there is one and without what else was built."""
    shutil.copytree(ROOT, target, ignore=_ignored)
    return target


def _ignored(folder: str, names: list[str]) -> set[str]:
    patterns = _NOT_COPIED if Path(folder) == ROOT else ("node_modules", "__pycache__", "screenshots", ".env")
    return shutil.ignore_patterns(*patterns)(folder, names)


def build(source: Path, *, npm: bool = True) -> Built:
    """Run `make wheel` there, with this environment's tools and the dashboard as it is; `npm` tells whether npm is."""
    (source / ".venv").symlink_to(sys.prefix)
    as_they_are = [part for name in (".venv/.run", ".venv/.dev", "client/dist/index.html") for part in ("-o", name)]
    said = run(["make", *as_they_are, "wheel", *([] if npm else ["NPM="])], source)
    (wheel,) = (source / "dist").glob("*.whl")
    (sdist,) = (source / "dist").glob("*.tar.gz")
    return Built(source, wheel, sdist, said)


def documented(heading: str) -> list[str]:
    """The shell commands under a heading of docs/install.md."""
    part = (ROOT / "docs" / "install.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def install(built: Built, environment: Path) -> None:
    """As docs/install.md says, with uv in the place of pip: the same packages and hashes, in a tenth of the time."""
    for line in documented("Install"):
        command = line.replace("python3 -m venv pnl-env", f"{UV} venv --python {sys.executable} {environment}")
        command = command.replace("pnl-env/bin/pip install", f"{UV} pip install --python {environment}")
        assert command != line, line
        run(["sh", "-c", command], built.source)


def once(shared: Path, name: str, make: Callable[[Path], None]) -> Path:
    """A folder of that name that `make` fills: by whichever test worker comes first, the others wait for it."""
    folder, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def installed(shared: Path) -> Installed:
    """Built and installed in that folder."""

    def make(folder: Path) -> None:
        built = build(copy_project(folder / "source"))
        (folder / "said").write_text(built.said)
        install(built, folder / "venv")

    folder = once(shared, "installed", make)
    source = folder / "source"
    (wheel,) = (source / "dist").glob("*.whl")
    (sdist,) = (source / "dist").glob("*.tar.gz")
    return Installed(Built(source, wheel, sdist, (folder / "said").read_text()), folder / "venv")


def run(command: list[str], folder: Path, **env: str) -> str:
    """Run to the end; answers both outputs, which are in the error when it fails."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=300
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{command}\n{output}"
    return output
