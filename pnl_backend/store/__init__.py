"""The ledger on disk: the only code that writes SQL."""

from pnl_backend.store.store import Store

__all__ = ["Store"]
