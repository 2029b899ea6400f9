"""The wheel, built and installed once for all test workers."""

from __future__ import annotations

import pytest

from tests.support.installed import Installed, installed


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Installed:
    """The wheel in an environment of its own, which has no checkout around it."""
    shared = tmp_path_factory.getbasetemp()
    return installed(shared if worker_id == "master" else shared.parent)
