"""The ledger fixtures, for faults that need no server."""

from tests.store.conftest import open_store, path, record, store  # noqa: F401 - fixtures
