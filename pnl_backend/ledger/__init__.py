"""The ledger: every snapshot and fact, with bookkeeping, reconciliation and import."""
