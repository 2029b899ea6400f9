"""The ledger on disk; the only code that writes SQL."""
