"""What every test shares."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.redis_server import redis_server  # noqa: F401 - a fixture for every test below
from tests.support.order import LOADED, longest_first, seconds

if TYPE_CHECKING:
    from tests.support.postgres import PostgresServer
from tests.support.server import no_server_left

# A loaded machine is slow, not wrong: no example is failed for the time it took.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture(scope="session")
def postgres() -> Iterator["PostgresServer"]:
    """A PostgreSQL server of this worker's own; databases are made of it, one for each test."""
    from tests.support.postgres import private_postgres

    with private_postgres() as server:
        yield server


@pytest.fixture(autouse=True)
def _servers_end_with_their_test() -> Iterator[None]:
    with no_server_left():
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of this test run that all its workers share."""
    own = tmp_path_factory.getbasetemp()
    return own if worker_id == "master" else own.parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests have longer timeouts and begin first; without workers the order stays."""
    for item in items:
        if seconds(item) * LOADED > float(config.getini("timeout")) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(seconds(item) * LOADED))
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None:
        items[:] = longest_first(items, worker["workercount"])
