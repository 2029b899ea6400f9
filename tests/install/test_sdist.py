"""The source distribution: whole, and good for the same wheel."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.installed import ROOT, UV, Built, Installed, build, copy_project, needs_dashboard, run

pytestmark = pytest.mark.slow
LEFT_OUT = ("tests/", "bench/", ".ci/", "data/", "logs/", ".git", ".editorconfig", ".pre-commit")
"""Beginnings of what is in the repository alone."""
WRITTEN = ("PKG-INFO", "setup.cfg", "pnl_backend.egg-info/", "client/dist/")
"""Beginnings of what the build adds."""


def contents(wheel: Path) -> dict[str, str]:
    """Each file of a wheel with its hash."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def names(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


@needs_dashboard
def test_it_holds_what_is_tracked_but_tests_and_measurements(product: Installed) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("needs the repository")
    tracked = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file() and not name.startswith(LEFT_OUT)}
    held = {name for name in names(product.built.sdist) if not name.startswith(WRITTEN)}
    assert held == tracked


@needs_dashboard
def test_its_wheel_is_the_one_of_the_checkout(product: Installed, tmp_path: Path) -> None:
    with tarfile.open(product.built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    wheels = []
    for source in (unpacked, product.built.source):
        out = tmp_path / f"wheel-{len(wheels)}"
        command = [UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
        run([*command, "--out-dir", str(out), str(source)], tmp_path)
        wheels += out.glob("*.whl")
    from_sdist, from_checkout = map(contents, wheels)
    assert from_sdist == from_checkout == contents(product.built.wheel)


def without_dashboard(folder: Path) -> Built:
    source = copy_project(folder / "source")
    shutil.rmtree(source / "client" / "dist", ignore_errors=True)
    return build(source, npm=False)


def test_building_a_wheel_without_the_dashboard_prints_a_notice(tmp_path: Path) -> None:
    built = without_dashboard(tmp_path)
    assert "without the dashboard" in built.said
    assert "make client" in built.said
    assert not [name for name in contents(built.wheel) if name.startswith("pnl_backend/dashboard/")]
