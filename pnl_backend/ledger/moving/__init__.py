"""Copies a ledger from one kind of database to the other, and verifies the copy."""
