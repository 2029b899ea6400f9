"""The dependencies of the package: bounded ranges, inside them the lock's exact pins, and those installed here."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.server import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [Requirement(text) for text in PROJECT["dependencies"]]
LOCK = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
UNBOUNDED = {"tzdata"}


@pytest.mark.parametrize("dependency", DEPENDENCIES, ids=lambda dependency: dependency.name)
def test_a_dependency_is_a_range_with_both_ends(dependency: Requirement) -> None:
    ends = sorted(specifier.operator for specifier in dependency.specifier)
    assert ends == ([">="] if dependency.name in UNBOUNDED else ["<", ">="])


@pytest.mark.parametrize("dependency", DEPENDENCIES, ids=lambda dependency: dependency.name)
def test_the_lock_and_what_is_installed_are_inside_it(dependency: Requirement) -> None:
    assert LOCK[dependency.name] in dependency.specifier
    assert version(dependency.name) in dependency.specifier


def test_the_lock_pins_exactly_and_by_hash() -> None:
    text = (ROOT / "requirements.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).strip())
    assert len(entries) == len(LOCK)
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("dependency", DEPENDENCIES, ids=lambda dependency: dependency.name)
def test_no_range_reaches_beyond_the_minor_or_major_that_was_tried(dependency: Requirement) -> None:
    for specifier in dependency.specifier:
        if specifier.operator == "<":
            tried, end = Version(LOCK[dependency.name]).release, Version(specifier.version).release
            following = [(*tried[:place], tried[place] + 1) for place in (0, 1)]
            assert end in following, f"{dependency} with {LOCK[dependency.name]} in the lock"
