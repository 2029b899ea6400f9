"""What every test shares."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.redis_server import redis_server  # noqa: F401 - a fixture for every test below

# A loaded machine is slow, not wrong: no example is failed for the time it took.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of this test run that all its workers share."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent
