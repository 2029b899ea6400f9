"""The ledger: every snapshot and booked fact, kept; with its bookkeeping, reconciliation and import."""
