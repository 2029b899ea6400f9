"""`pnl-backend new-source` writes a type that works: its tests pass, and the server has it once it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--import-mode=importlib")
COMMAND = (sys.executable, "-c", "import sys; from pnl_backend.commands.cli import main; sys.exit(main(sys.argv[1:]))")


def ran(
    *arguments: str, cwd: Path, path: tuple[Path, ...] = (), root: Path = ROOT, **env: str
) -> subprocess.CompletedProcess[str]:
    found = os.pathsep.join(map(str, (root, *path)))
    return subprocess.run(
        arguments,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": found, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def new_source(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ran(*COMMAND, *arguments, cwd=tmp_path)


@pytest.fixture
def project(tmp_path):
    made = new_source(tmp_path, "new-source", "cloud-bill")
    assert made.returncode == 0, made.stderr
    return tmp_path / "pnl-source-cloud-bill"


def test_the_tests_of_a_new_source_pass(project):
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
    ]
    passed = ran(*tests, "pnl_source_cloud_bill/test_source.py", cwd=project, path=(project,))
    assert passed.returncode == 0, passed.stdout
    assert " passed" in passed.stdout


def installed(project: Path) -> Path:
    """What pip leaves of the package beside it: its entry point."""
    about = project / "pnl_source_cloud_bill-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: pnl-source-cloud-bill\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[pnl_backend.sources]\ncloud_bill = pnl_source_cloud_bill.source:SOURCE\n")
    return about


@pytest.mark.slow
def test_the_server_has_the_type_once_it_is_installed(project):
    installed(project)
    example = ran(*COMMAND, "settings", "--example", cwd=project, path=(project,))
    assert "# CLOUD_BILL_URL=https://api.example.com/spent\n" in example.stdout
    listed = ran(*COMMAND, "sources", cwd=project, path=(project,)).stdout.splitlines()
    types = [line for line in listed if not line.startswith(" ")]
    assert types[:3] == ["kalshi: Kalshi", "anthropic: Anthropic", "johns: John's revenue"]
    assert "cloud-bill: Cloud Bill" in types[3:]
    booked = [line for line in listed if line.startswith("  books")]
    assert booked == ["  books fills, settlements, transfers", "  books costs", "  books deals"]
    assert "  CLOUD_BILL_TOKEN            sent as Authorization: Bearer (turns it on)" in listed
    checked = ran(
        *COMMAND,
        "check",
        cwd=project,
        path=(project,),
        CLOUD_BILL_TOKEN="t",
        CLOUD_BILL_URL="http://127.0.0.1:9",
    )
    assert "cloud-bill" in checked.stdout
    assert "Cloud Bill cannot be reached: connection refused" in checked.stdout


@pytest.mark.slow
def test_ruff_and_mypy_report_no_problem(project):
    for command in (["ruff", "check", "--line-length", "120", "--select", "E,F,W,B,UP"], ["mypy", "--strict"]):
        judged = ran(sys.executable, "-m", *command, "pnl_source_cloud_bill", cwd=project, path=(project,))
        assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("SOURCE = SourceType(", "SOURCE = dict("), "is no SourceType but dict"),
        (('CardRow("spent"', 'CardRow("profit"'), "card: profit is no figure of CloudBillFigures"),
        (
            ('agent="Cloud Bill"', 'facts=frozenset(("deal",)), agent="Cloud Bill"'),
            "facts must be empty: the ledger's tables",
        ),
        (('name="cloud-bill"', 'name="kalshi"'), "two source types have the same name: kalshi"),
        (("nothing=CloudBillValue(ZERO),\n", ""), "missing 1 required keyword-only argument: 'nothing'"),
        (("    cloud_bill_poll_ms:", "    poll_ms:"), "setting poll_ms must begin with cloud_bill_"),
    ],
)
def test_a_type_that_lacks_a_piece_stops_the_start_with_one_line(project, change, said):
    installed(project)
    file = project / "pnl_source_cloud_bill" / "source.py"
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change))
    refused = ran(*COMMAND, "check", cwd=project, path=(project,))
    assert refused.returncode == 1
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1, refused.stderr


@pytest.mark.parametrize("name", ["a", "cloud-bill", "b" * 32, "-".join("abcdefghijklmnop")])
def test_what_is_written_is_formatted_whatever_the_name(tmp_path, name):
    made = new_source(tmp_path, "new-source", name)
    assert made.returncode == 0, made.stderr
    for command in (["format", "--check"], ["check", "--select", "E,F,W,B,UP"]):
        judged = ran(sys.executable, "-m", "ruff", *command, "--line-length", "120", str(tmp_path), cwd=tmp_path)
        assert judged.returncode == 0, judged.stdout


@pytest.mark.slow
def test_in_a_checkout_its_own_folder_is_all_that_a_new_source_takes(tmp_path):
    shutil.copytree(ROOT / "pnl_backend", tmp_path / "pnl_backend", ignore=shutil.ignore_patterns("__pycache__"))
    made = ran(*COMMAND, "new-source", "cloud-bill", "--into", "pnl_backend/sources", cwd=tmp_path, root=tmp_path)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "pnl_backend" / "sources" / "cloud_bill"
    assert folder.is_dir()
    passed = ran(*PYTEST, str(folder / "test_source.py"), cwd=tmp_path, root=tmp_path)
    assert passed.returncode == 0, passed.stdout
    example = ran(*COMMAND, "settings", "--example", cwd=tmp_path, root=tmp_path)
    assert "# CLOUD_BILL_URL=https://api.example.com/spent\n" in example.stdout


def test_nothing_is_written_over(project):
    again = new_source(project.parent, "new-source", "cloud-bill")
    assert again.returncode == 1
    assert "is there already" in again.stderr


@pytest.mark.parametrize("name", ["Cloud", "cloud_bill", "1cloud", "seq", "a" * 33, ""])
def test_a_name_that_cannot_be_one_is_refused(tmp_path, name):
    refused = new_source(tmp_path, "new-source", name)
    assert refused.returncode == 2
    assert "is no name" in refused.stderr


def test_a_known_name_is_refused(tmp_path):
    refused = new_source(tmp_path, "new-source", "kalshi")
    assert refused.returncode == 1
    assert "there is a source type kalshi already" in refused.stderr
