"""Where the built dashboard is: inside an installed package, or beside the package in the project's own folder."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def dashboard_folder(package: Path = _PACKAGE) -> Path | None:
    """The folder with the dashboard's index.html, which the project's own has after `make client`.

    None for a package that was built without the dashboard.
    """
    carried = package / "dashboard"
    if carried.is_dir():
        return carried
    project = package.parent
    # Where the package is installed, another one beside it may be called `client`.
    is_project = (project / "pyproject.toml").is_file() and (project / "client" / "package.json").is_file()
    return project / "client" / "dist" if is_project else None
