"""Facts of the time before the ledger noted accounts that its account does not know: they were another account's.

Each fact of such a ledger is unconfirmed until the account lists it too. When every list has been read, what is left is
moved to the table `set_aside`, where it is kept and does not count. All functions run within a transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pnl_backend.domain.classic import KALSHI
from pnl_backend.domain.readings import MarketKey
from pnl_backend.ledger.sql.connection import Connection

KINDS = "SELECT DISTINCT kind FROM unconfirmed"
_UNKNOWN_SETTLEMENTS = """
SELECT u.key FROM unconfirmed AS u JOIN settlements AS s ON s.key = u.key WHERE u.kind = 'settlements'
AND s.ticker NOT IN (SELECT ticker FROM fills) AND s.ticker NOT IN (SELECT ticker FROM positions)
"""
_AMOUNTS = {"amount", "count", "fee", "fees", "yes_price", "yes_count", "yes_cost", "no_count", "no_cost", "revenue"}
_AMOUNTS |= {"value", "realized", "quantity", "cost"}
"""Columns of exact decimals, which are text in JSON."""
_MONEY = "CAST({} AS TEXT)"
_KEYS = {"fills": "fill_id", "settlements": "key", "transfers": "key", "positions": "ticker || ':' || subaccount"}


def confirm_transfers(connection: Connection, keys: Iterable[str]) -> None:
    """The account has listed these transfers."""
    connection.executemany("DELETE FROM unconfirmed WHERE kind = 'transfers' AND key = ?", [(key,) for key in keys])


def set_aside_markets(connection: Connection, listed: Collection[MarketKey], at: int) -> list[MarketKey]:
    """Set aside the unconfirmed markets that are not `listed`, at `at` (ms); returns them."""
    rows = connection.execute("SELECT key FROM unconfirmed WHERE kind = 'positions'").fetchall()
    keys = [(ticker, int(subaccount)) for ticker, _, subaccount in (key.rpartition(":") for (key,) in rows)]
    unknown = [key for key in keys if key not in listed]
    _move(connection, "positions", [f"{ticker}:{subaccount}" for ticker, subaccount in unknown], at)
    connection.execute("DELETE FROM unconfirmed WHERE kind = 'positions'")
    return unknown


def set_aside_facts(connection: Connection, at: int) -> int:
    """Set aside the unconfirmed fills, transfers and settlements at `at` (ms); returns their number.

    Archived settlements are in no list: one stays if the account has traded or held its market.
    """
    found = 0
    for kind in ("fills", "transfers"):
        rows = connection.execute("SELECT key FROM unconfirmed WHERE kind = ?", (kind,)).fetchall()
        found += _move(connection, kind, [key for (key,) in rows], at)
    rows = connection.execute(_UNKNOWN_SETTLEMENTS).fetchall()
    found += _move(connection, "settlements", [key for (key,) in rows], at)
    connection.execute("DELETE FROM unconfirmed WHERE kind <> 'positions'")
    return found


def set_aside(connection: Connection, source: str, account: str | None, table: str, at: int) -> int:
    """Move every row of a table to `set_aside`; returns their number."""
    connection.execute(_copy(connection, table), (at, source, account))
    return connection.execute(f"DELETE FROM {table}").rowcount  # noqa: S608 - constants


def _move(connection: Connection, table: str, keys: Sequence[str], at: int) -> int:
    where = f" WHERE {_KEYS[table]} = ?"
    copy, delete = _copy(connection, table) + where, f"DELETE FROM {table}{where}"  # noqa: S608 - constants
    connection.executemany(copy, [(at, KALSHI, None, key) for key in keys])
    connection.executemany(delete, [(key,) for key in keys])
    return len(keys)


def _copy(connection: Connection, table: str) -> str:
    """The statement that copies rows to `set_aside`, each as a JSON object; parameters: time, source, account."""
    columns = [column[0] for column in connection.execute(f"SELECT * FROM {table} LIMIT 0").description]  # noqa: S608 - constants
    fact = ", ".join(f"'{name}', {_MONEY.format(name) if name in _AMOUNTS else name}" for name in columns)
    return f"INSERT INTO set_aside SELECT ?, ?, ?, '{table}', json_object({fact}) FROM {table}"  # noqa: S608 - constants
