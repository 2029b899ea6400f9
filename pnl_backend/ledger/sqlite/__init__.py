"""The ledger on disk: the only code that writes SQL."""

from pnl_backend.ledger.sqlite.store import Store

__all__ = ["Store"]
