"""The pages for contributors: their code blocks, and a copy of the project in which commands and steps are tried."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.installed import copy_project, once
from tests.support.server import ROOT

PAGES = (ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "contributing").glob("*.md")))
ADDED = ("route", "setting", "source", "transport")
STEPS = tuple(ROOT / "docs" / "contributing" / f"adding-a-{what}.md" for what in ADDED)
"""Pages whose code blocks are steps, in order with their commands."""
CHECKS_TYPES = re.compile(r"mypy|pre-commit run|git commit")
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (\S+)\n")


@dataclass(frozen=True)
class Block:
    """A code block; `info` is what stands behind its language."""

    page: Path
    language: str
    info: str
    text: str

    @property
    def file(self) -> str:
        """The file that the block's first line names."""
        found = _NAMED.match(self.text)
        assert found is not None, f"{self.page.name}: the first line names the file:\n{self.text}"
        return found[1]

    @property
    def body(self) -> str:
        """The text below the name of its file."""
        return self.text.partition("\n")[2].lstrip("\n")


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    for found in _FENCE.finditer(page.read_text()):
        if found[1] in languages:
            yield Block(page, found[1], found[2].strip(), found[3])


def apply(block: Block, tree: Path) -> None:
    """Do in a copy what a block says: write a new file (python), or add lines beside those that are there (diff)."""
    target = tree / block.file
    if block.language == "python":
        assert not target.exists(), f"{block.page.name}: {block.file} is there already"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block.body)
        return
    lines = [line or " " for line in block.body.splitlines()]
    before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
    after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
    text = target.read_text()
    assert text.count(before) == 1, f"{block.page.name}: {block.file} does not have these lines once:\n{before}"
    target.write_text(text.replace(before, after))


def project_copy(target: Path) -> Path:
    """A copy as a clone would be, as a git repository, with this environment's packages as its `.venv`."""
    copy_project(target)
    for name in ("data", "logs"):
        (target / name).mkdir()
        (target / name / ".gitkeep").touch()
    environment = target / ".venv"
    environment.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix, name))
    for made in (environment / ".run", environment / ".dev", target / "client" / "dist" / "index.html"):
        if made.parent.is_dir():
            made.touch()
    if shutil.which("git") is not None:
        for command in ("git init --quiet", "git add --all", "git commit --quiet --message copy"):
            code, said = run(command, target)
            assert code == 0, said
    return target


def run(script: str, tree: Path, **env: str) -> tuple[int, str]:
    """Run a shell script in a copy; answers its exit code and output. It sees no setting of the test run."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    home = tree.parent / "home"
    home.mkdir(exist_ok=True)
    person = {
        f"GIT_{role}_{what}": "someone@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    given = {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(tree), **person, **env}
    if CHECKS_TYPES.search(script):
        given["MYPY_CACHE_DIR"] = str(_types(tree.parents[1]))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tree,
        env=kept | given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=250,
    )
    return done.returncode, done.stdout


def _types(own: Path) -> Path:
    """What mypy knows of the modules, for all tests of a worker whose folder is `own`.

    It begins with what one run over the project has found, which all workers copy: the files have the same content.
    """
    cache = own / "mypy"
    if not cache.exists():
        shared = own.parent if own.name.startswith("popen-") else own
        shutil.copytree(once(shared, "types", _check_types), cache)
    return cache


def _check_types(folder: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--no-error-summary", f"--cache-dir={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
