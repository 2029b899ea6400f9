"""The wheel, built and installed once in a test run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.installed import Installed, installed


@pytest.fixture(scope="session")
def product(shared_folder: Path) -> Installed:
    """The wheel in an environment of its own, which has no checkout around it."""
    return installed(shared_folder)
