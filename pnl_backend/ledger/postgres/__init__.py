"""The ledger in a PostgreSQL database, which several nodes can share."""

from pnl_backend.ledger.postgres.head import Head, head_of
from pnl_backend.ledger.postgres.reader import Reader
from pnl_backend.ledger.postgres.store import Store

__all__ = ["Head", "Reader", "Store", "head_of"]
