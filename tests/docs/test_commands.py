"""The commands of the pages for contributors: each is run; of those marked `long` all that they name is there.

Commands between steps are run where the steps are followed, in test_steps.py.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from bench.__main__ import measurements
from tests.docs.pages import PAGES, ROOT, STEPS, Block, blocks, project_copy, run

TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SCRIPTS = json.loads((ROOT / "client" / "package.json").read_text())["scripts"]
ASSIGNED = re.compile(r"[A-Z_]+=.*")


def of_kind(page: Path, info: str) -> list[Block]:
    return [block for block in blocks(page, "sh") if block.info == info]


def test_every_block_of_commands_is_run_or_marked_long() -> None:
    assert {block.info for page in PAGES for block in blocks(page, "sh")} <= {"", "long"}
    assert not [page.name for page in PAGES for _ in blocks(page, "bash", "shell", "console")]
    assert len(of_kind(ROOT / "CONTRIBUTING.md", "")) >= 2


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if of_kind(page, "") and page not in STEPS], ids=lambda page: page.name
)
def test_the_commands_of_a_page_work(page: Path, tmp_path: Path) -> None:
    tree = project_copy(tmp_path / "project")
    for block in of_kind(page, ""):
        code, said = run(block.text, tree)
        assert code == 0, f"{block.text}\n{said}"


@pytest.mark.parametrize("page", [page for page in PAGES if of_kind(page, "long")], ids=lambda page: page.name)
def test_what_long_commands_name_is_there(page: Path) -> None:
    for block in of_kind(page, "long"):
        folder = ROOT
        for line in block.text.splitlines():
            for command in line.split("&&"):
                words = [word for word in shlex.split(command, comments=True) if not ASSIGNED.fullmatch(word)]
                if words and words[0] == "cd":
                    folder /= words[1]
                    assert folder.is_dir(), line
                elif words:
                    check(words, folder)


def check(words: list[str], folder: Path) -> None:
    """Fail unless a command and the files that it is given are there."""
    match words:
        case ["make", target]:
            assert target in TARGETS, words
        case ["npm", "ci"]:
            assert (folder / "package-lock.json").is_file(), words
        case ["npm", "run", script, *files] | ["npm", "test" as script, *files]:
            assert script in SCRIPTS, words
            assert all((folder / name).exists() for name in files), words
        case [".venv/bin/python", "-m", "bench", *names]:
            assert set(names) <= set(measurements()), words
        case [".venv/bin/python", "-m", "pytest", *files]:
            assert files, words
            assert all((folder / name).exists() for name in files), words
        case [program] if "/" in program:
            assert (folder / program).is_file(), words
        case _:
            pytest.fail(f"not known how to look for what this names: {shlex.join(words)}")


def test_contributing_names_every_part_of_the_build() -> None:
    build = re.sub(r"#.*|^step .*", "", (ROOT / ".ci" / "run").read_text(), flags=re.MULTILINE)
    parts = set(re.findall(r"make \w+|npm (?:run )?\w+", build.replace("--silent ", "")))
    assert {"make test", "npm run e2e"} <= parts
    (listed,) = [block.text for block in of_kind(ROOT / "CONTRIBUTING.md", "long") if "make lint" in block.text]
    assert [part for part in sorted(parts) if part not in listed] == []
