"""Settings of editors and of git agree with the linters: .editorconfig, the pre-commit hooks, the templates."""

from __future__ import annotations

import configparser
import fnmatch
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, project_copy, run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BINARY = {".db", ".png"}
TEMPLATES = ROOT / ".github" / "ISSUE_TEMPLATE"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def editor() -> dict[str, dict[str, str]]:
    """The sections of .editorconfig by their pattern, in order."""
    parser = configparser.ConfigParser()
    parser.read_string("[preamble]\n" + (ROOT / ".editorconfig").read_text())
    return {name: dict(parser[name]) for name in parser.sections() if name != "preamble"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs the repository")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def wanted(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for pattern, properties in editor().items():
        if fnmatch.fnmatchcase(path.name, pattern):
            found |= properties
    return found


def test_the_lengths_and_indents_of_python_are_ruff_s() -> None:
    ruff = PROJECT["tool"]["ruff"]
    assert editor()["*.py"]["max_line_length"] == str(ruff["line-length"])
    assert editor()["*.py"]["indent_size"] == str(ruff.get("indent-width", 4))


@needs_git
def test_every_file_is_as_the_editor_settings_say() -> None:
    wrong = []
    for path in tracked():
        content = path.read_bytes()
        if path.suffix in BINARY or not content:
            continue
        rules, lines = wanted(path), content.decode().split("\n")
        trimmed = "tests/data" in str(path) or all(line == line.rstrip(" \t\r") for line in lines)
        ends = content.endswith(b"\n") or path.suffix == ".json"
        indents = rules["indent_style"] == "tab" or not any(line.startswith("\t") for line in lines)
        if not (trimmed and ends and indents):
            wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_the_hooks_run_the_tools_of_the_environment() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"], "versions stand in requirements-dev.txt"
    entries = [hook["entry"].split() for repository in config["repos"] for hook in repository["hooks"]]
    linted = re.findall(
        r"\$\(BIN\)/(\S+)", (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    )
    assert {entry[0] for entry in entries} == {f".venv/bin/{tool}" for tool in linted}


@needs_git
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_commit_is_refused_until_it_is_right(tmp_path: Path) -> None:
    tree = project_copy(tmp_path / "project")
    assert run(".venv/bin/pre-commit install", tree)[0] == 0
    added, before = tree / "tests" / "added.py", run("git rev-parse HEAD", tree)
    added.write_text("import os\nVALUE = {'a':1}\n")
    code, said = run("git add tests && git commit --message one", tree)
    assert code == 1
    assert "F401" in said
    assert re.search(r"ruff format\.+Failed", said)
    assert re.search(r"mypy --strict\.+\(no files to check\)Skipped", said)
    assert run("git rev-parse HEAD", tree) == before
    added.write_text('VALUE = {"a": 1}\n')
    code, said = run("git add tests && git commit --message one", tree)
    assert code == 0, said
    assert run("git rev-parse HEAD", tree) != before


@needs_git
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_types_and_imports_are_checked_where_the_package_changes(tmp_path: Path) -> None:
    tree = project_copy(tmp_path / "project")
    times = tree / "pnl_backend" / "domain" / "times.py"
    times.write_text(times.read_text() + '\nfrom pnl_backend import wire  # noqa: E402\n\nWRONG: int = "text"\n')
    code, said = run("git add --all && .venv/bin/pre-commit run", tree)
    assert code == 1
    assert re.search(r"mypy --strict\.+Failed", said), said
    assert "Incompatible types in assignment" in said
    assert re.search(r"import rules\.+Failed", said), said


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.yml")), ids=lambda path: path.name)
def test_a_template_is_one_that_github_takes(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert form == {"blank_issues_enabled": True}
        return
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"input", "textarea", "checkboxes", "dropdown"}
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_every_link_leads_to_a_page_and_to_its_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
        if target.startswith("http"):
            continue
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"
