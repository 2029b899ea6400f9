"""The build step that pyproject.toml cannot state: the wheel carries the dashboard that `make client` built."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
BUILT = ROOT / "client" / "dist"
PACKAGED = Path("pnl_backend", "dashboard")  # read by pnl_backend/http/dashboard.py
WITHOUT = """
This package is built without the dashboard: client/dist/index.html is not there.
Run `make client` (needs Node 20 or newer) before the build. The server runs without it; its page says what is missing.
"""


class BuildWithDashboard(build_py):
    """Copies `client/dist` into the package; an editable install reads it where it is."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / PACKAGED
        shutil.rmtree(target, ignore_errors=True)
        if (BUILT / "index.html").is_file():
            shutil.copytree(BUILT, target)
        else:
            self.warn(WITHOUT)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        target = Path(self.build_lib) / PACKAGED
        copied = [str(path) for path in target.rglob("*") if path.is_file()]
        return [*super().get_outputs(include_bytecode), *copied]


setup(cmdclass={"build_py": BuildWithDashboard})
