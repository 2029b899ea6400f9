"""What the ledger keeps and how it is asked, in SQL that SQLite and PostgreSQL both take.

Statements have `?` or `?1` for parameters. What differs between the databases is in `ledger.sqlite` and
`ledger.postgres`: connections, schema, locks, error texts, backups.
"""
