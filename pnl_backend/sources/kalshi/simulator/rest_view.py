"""What the simulated REST API shows of an account: the account itself, or an earlier state of it while REST lags."""

from __future__ import annotations

from typing import Any

from .account import Account

Json = dict[str, Any]
_IDENTIFIER = {
    "market_positions": "ticker",
    "fills": "fill_id",
    "settlements": "ticker",
    "deposits": "id",
    "withdrawals": "id",
    "transfers": "transfer_id",
}


class RestViews:
    """One view per account. `lag` (s) delays REST by up to that long; `hold` stops it until `release`."""

    def __init__(self) -> None:
        self.lag = 0.0
        self._held = False
        self._views: dict[str, tuple[Account, float]] = {}

    def hold(self, accounts: list[Account], now: float) -> None:
        """Show these accounts in their present state from now on."""
        self._held = True
        self._views = {account.user_id: (account.copy(), now) for account in accounts}

    def release(self) -> None:
        """Show the accounts as they are."""
        self._held = False
        self._views.clear()

    def of(self, account: Account, now: float) -> tuple[Account, float]:
        """What is shown of an account, and the time (UTC seconds) of that state."""
        if self.lag <= 0 and not self._held:
            return account, now
        view = self._views.get(account.user_id)
        if view is None or (not self._held and now - view[1] >= self.lag):
            view = self._views[account.user_id] = (account.copy(), now)
        return view


class Falsified:
    """Single rows that REST shows other than they are, or not at all, while every other figure stays right."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Json | None] = {}

    def put(self, name: str, row_id: str, fields: Json | None) -> None:
        """Show a row of the list `name` with other fields, or leave it out (None); ValueError for no such list.

        Rows are named by their ticker (`market_positions`, `settlements`) or by their own identifier.
        """
        if name not in _IDENTIFIER:
            raise ValueError(f"no such list: {name}; there are {', '.join(_IDENTIFIER)}")
        self._rows[name, row_id] = fields

    def clear(self) -> None:
        """Show every row as it is."""
        self._rows.clear()

    def shown(self, name: str, rows: list[Json]) -> list[Json]:
        """The rows of a list as they are shown."""
        if not self._rows or name not in _IDENTIFIER:
            return rows
        shown = []
        for row in rows:
            fields = self._rows.get((name, row[_IDENTIFIER[name]]), {})
            if fields is not None:
                shown.append({**row, **fields})
        return shown
