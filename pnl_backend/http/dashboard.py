"""Finds the built dashboard: inside an installed package, or beside the package in a checkout of the project."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def dashboard_folder(package: Path = _PACKAGE) -> Path | None:
    """The folder with the dashboard's index.html; in a checkout it exists after `make client`.

    None for a package that was built without the dashboard.
    """
    carried = package / "dashboard"
    if carried.is_dir():
        return carried
    project = package.parent
    # An installed package may have another package named `client` beside it.
    is_project = (project / "pyproject.toml").is_file() and (project / "client" / "package.json").is_file()
    return project / "client" / "dist" if is_project else None
