"""The script that runs the tests on every Python: what it finds, what it says, and that its list of tests is true."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.server import ROOT

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    spec = importlib.util.spec_from_file_location("matrix", ROOT / ".ci" / "matrix.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["matrix"] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_every_test_of_the_list_is_there(matrix: ModuleType) -> None:
    assert [name for name in matrix.FAST if not (ROOT / name).exists()] == []


def test_it_covers_what_the_package_promises(matrix: ModuleType) -> None:
    assert matrix.SUPPORTED[0] == "3.11"
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()


def test_a_python_is_found_on_path(matrix: ModuleType, tmp_path: Path) -> None:
    executable(tmp_path / f"python{HERE}", f'exec {sys.executable} "$@"')
    assert matrix.interpreter(HERE, path=str(tmp_path), pyenv=tmp_path) == str(tmp_path / f"python{HERE}")


def test_a_command_that_is_no_such_python_is_passed_over(matrix: ModuleType, tmp_path: Path) -> None:
    executable(tmp_path / "shims" / f"python{HERE}", "echo not installed >&2; exit 127")
    executable(tmp_path / "other" / f"python{HERE}", "echo 2.7")
    path = f"{tmp_path / 'shims'}:{tmp_path / 'other'}:{tmp_path / 'absent'}"
    assert matrix.interpreter(HERE, path=path, pyenv=tmp_path) is None
    own = tmp_path / "versions" / f"{HERE}.9" / "bin" / f"python{HERE}"
    executable(own, f'exec {sys.executable} "$@"')
    assert matrix.interpreter(HERE, path=path, pyenv=tmp_path) == str(own)


def test_the_table_shows_what_failed_and_what_was_not_found(matrix: ModuleType) -> None:
    rows = [
        matrix.Row("3.11", "lock", "400 passed", 61.2),
        matrix.Row("3.11", "lowest", "1 failed, 399 passed; see build/matrix/3.11-lowest.log", 70.0, failed=True),
        matrix.Row("3.14", "-", "skipped: not found here"),
    ]
    assert matrix.table(rows).splitlines() == [
        "Python  packages  seconds  result",
        "3.11    lock      61       400 passed",
        "3.11    lowest    70       1 failed, 399 passed; see build/matrix/3.11-lowest.log",
        "3.14    -         -        skipped: not found here",
    ]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("....\n12 passed in 3.1s", "12 passed"),
        ("= 2 failed, 10 passed, 1 skipped, 1 error in 3.1s =", "2 failed, 10 passed, 1 skipped, 1 error"),
        ("ERROR: no such file", "no test ran"),
        ("....\n\nended after 1500 s\n", "ended after 1500 s"),
    ],
)
def test_the_count_is_read_from_pytest_s_output(matrix: ModuleType, output: str, said: str) -> None:
    assert matrix.summary(output) == said


def test_a_command_that_does_not_end_is_ended_and_its_output_is_in_the_log(
    matrix: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(matrix, "WORK", tmp_path)
    environment = matrix.Environment("3.99", "lock", tmp_path / "none.whl")
    assert environment.run("echo", "first") == "first\n"
    with pytest.raises(matrix.Failed, match=r"(?s)^begun\n.*ended after 1 s"):
        environment.run("sh", "-c", "echo begun; sleep 600", within=1.0)
    with pytest.raises(matrix.Failed, match=r"^broken\n$"):
        environment.run("sh", "-c", "echo broken; exit 3")
    assert "$ echo first\nfirst\n$ sh -c echo begun" in environment.log.read_text()


def test_a_named_python_that_is_missing_fails(
    matrix: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(matrix, "WORK", tmp_path)
    monkeypatch.setattr(matrix, "build_wheel", lambda: tmp_path / "none.whl")
    assert matrix.main(["3.99"]) == 1
