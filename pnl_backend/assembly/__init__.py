"""The concrete parts put together for `app` and the commands: sources, ledger, books and feeds."""
