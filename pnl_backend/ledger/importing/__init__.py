"""`pnl-backend import`: reads the files of the Node server; `ledger.sqlite.imported` writes their rows."""
