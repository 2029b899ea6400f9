"""A disk to fill, and the ledger fixtures for faults that need no server."""

from tests.faults.disks import small_disk  # noqa: F401 - a fixture
from tests.ledger.sqlite.conftest import open_store, path, record, store  # noqa: F401 - fixtures
