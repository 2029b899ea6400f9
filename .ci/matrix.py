"""The fast tests on every Python that is found here, with the lock's packages, and once with the lowest allowed ones.

`python .ci/matrix.py [3.11 3.12 ...]`: those named, or all that are supported. Each gets an environment of its own in
build/matrix, with its log beside it, which grows as the tests run. A row ends at the tenth failure and after
`ROW_SECONDS` at the latest. Ends with one table; exit code 1 when anything failed, or a named one is missing.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "matrix"
UV = str(Path(sys.executable).with_name("uv"))
SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
FAST = (
    "tests/access", "tests/cache/test_tiers.py", "tests/dependencies", "tests/domain", "tests/e2e/test_cli.py",
    "tests/e2e/test_feeds.py", "tests/e2e/test_streaming.py", "tests/engine/engineio/test_engineio.py",
    "tests/engine/engineio/test_polling.py", "tests/engine/socketio", "tests/engine/test_packets.py",
    "tests/engine/test_versions.py", "tests/http/test_auth.py", "tests/http/test_page.py", "tests/http/test_routes.py",
    "tests/ingest", "tests/settings", "tests/sources", "tests/stream/test_recovery.py",
)  # fmt: skip
"""What a change of Python or of a library breaks first: every library is used, each transport once."""
RUN = ("-n", "4", "--dist", "worksteal", "-m", "not slow", "--maxfail", "10", "-p", "no:cacheprovider", "--color", "no")
ROW_SECONDS = 1500.0
"""For the tests of one row, which take three minutes on two idle cores; then they are ended and the row has failed."""


@dataclass(frozen=True)
class Row:
    python: str
    packages: str
    result: str
    seconds: float = 0.0
    failed: bool = False


def runs(command: str, version: str) -> bool:
    """Whether it is that Python: a version manager leaves commands on PATH that only say what is missing."""
    asked = [command, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def candidates(version: str, path: str, pyenv: Path) -> Iterator[str]:
    for folder in path.split(os.pathsep):
        found = shutil.which(f"python{version}", path=folder)
        if found:
            yield found
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True))


def interpreter(version: str, *, path: str | None = None, pyenv: Path | None = None) -> str | None:
    """The command of a Python on PATH or among those of pyenv; None where there is none that runs."""
    path = os.environ.get("PATH", "") if path is None else path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) if pyenv is None else pyenv
    return next((command for command in candidates(version, path, pyenv) if runs(command, version)), None)


class Failed(Exception):
    """A step that ended with an error."""


class Environment:
    """A virtual environment with the package and what the tests need."""

    def __init__(self, python: str, packages: str, wheel: Path) -> None:
        self.folder = WORK / f"{python}-{packages}"
        self.log = WORK / f"{python}-{packages}.log"
        self.log.write_text("")
        self.packages = packages
        self.wheel = wheel

    def run(self, *command: str, folder: Path = ROOT, within: float = ROW_SECONDS) -> str:
        """The command's output, which is also added to the log while it comes; raises Failed with it.

        After `within` seconds the command and all that it has started are ended.
        """
        with self.log.open("a") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            began = log.tell()
            process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code = process.wait(within)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
                log.write(f"\nended after {within:g} s\n")
            except BaseException:  # Ctrl-C does not reach a session of its own
                os.killpg(process.pid, signal.SIGKILL)
                raise
        with self.log.open() as log:
            log.seek(began)
            output = log.read()
        if code:
            raise Failed(output)
        return output

    def install(self, command: str) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.run(UV, "venv", "--quiet", "--python", command, str(self.folder))
        install = (UV, "pip", "install", "--quiet", "--python", str(self.folder))
        self.run(*install, "--require-hashes", "-r", "requirements-dev.txt")
        if self.packages == "lowest":
            pins = str(self.folder / "lowest.txt")
            resolve = ("--quiet", "--resolution", "lowest-direct", "--python", str(self.folder), "pyproject.toml")
            self.run(UV, "pip", "compile", *resolve, "-o", pins)
            self.run(*install, "-r", pins)
        self.run(*install, "--no-deps", str(self.wheel))
        self.run(str(self.folder / "bin" / "pnl-backend"), "--version", folder=WORK)

    def test(self) -> str:
        """Run the fast tests; answers the count, raises Failed with it."""
        return summary(self.run(str(self.folder / "bin" / "python"), "-m", "pytest", *RUN, *FAST))


def summary(output: str) -> str:
    """What pytest's output says of how many passed and failed."""
    names = ("failed", "passed", "skipped", "error")
    counted = {name: re.findall(rf"(\d+) {name}", output) for name in names}
    said = [f"{found[-1]} {name}" for name, found in counted.items() if found]
    ended = re.findall(r"^ended after .* s$", output, re.MULTILINE)
    return ", ".join([*said, *ended]) or "no test ran"


def one(python: str, packages: str, command: str, wheel: Path) -> Row:
    began = time.monotonic()
    environment = Environment(python, packages, wheel)
    try:
        environment.install(command)
        result, failed = environment.test(), False
    except Failed as failure:
        print("\n".join(str(failure).splitlines()[-40:]))
        result, failed = f"{summary(str(failure))}; see {environment.log.relative_to(ROOT)}", True
    return Row(python, packages, result, time.monotonic() - began, failed)


def table(rows: Sequence[Row]) -> str:
    lines = [("Python", "packages", "seconds", "result")]
    lines += [(row.python, row.packages, f"{row.seconds:.0f}" if row.seconds else "-", row.result) for row in rows]
    first, second, third = (max(len(line[column]) for line in lines) for column in range(3))
    return "\n".join(f"{a:<{first}}  {b:<{second}}  {c:<{third}}  {result}" for a, b, c, result in lines)


def build_wheel() -> Path:
    """The package as it would be published, by way of its source distribution."""
    built = WORK / "dist"
    shutil.rmtree(built, ignore_errors=True)
    build = (UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(built))
    subprocess.run(build, cwd=ROOT, check=True)
    (wheel,) = built.glob("*.whl")
    return wheel


def main(named: Sequence[str]) -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    wheel = build_wheel()
    rows: list[Row] = []
    for python in named or SUPPORTED:
        command = interpreter(python)
        if command is None:
            rows.append(Row(python, "-", "skipped: not found here", failed=bool(named)))
            continue
        lowest = ("lowest",) if not any(row.packages == "lowest" for row in rows) else ()
        for packages in ("lock", *lowest):
            print(f"== Python {python} ({command}), {packages}", flush=True)
            rows.append(one(python, packages, command, wheel))
    print("\n" + table(rows))
    return 1 if any(row.failed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
