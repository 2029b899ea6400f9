"""An outcome that is corrected after an account was paid for it."""

from __future__ import annotations

from dataclasses import replace

from pnl_backend.sources.simulated.units import ZERO

from .account import Account
from .records import ONE, Market, Position, Settlement


def resettle(account: Account, market: Market, ts: float) -> list[Position]:
    """Pay an account's holdings of a settled market by its corrected value; the live positions that changed.

    ValueError, with nothing changed, for a position whose settlement is not known.
    """
    value = ZERO if market.settlement_value is None else market.settlement_value
    keys = [key for key in (*account.positions, *account.archived) if key[1] == market.ticker]
    rows = {key: _settlement(account, key) for key in keys}
    changed: list[Position] = []
    for key, row in rows.items():
        revenue = row.yes_count * value + row.no_count * (ONE - value)
        corrected, more = replace(row, result=market.result, value=value, revenue=revenue), revenue - row.revenue
        if key in account.archived_settlements:
            account.archived_settlements[key] = corrected
        else:
            account.settlements[account.settlements.index(row)] = corrected
        if key in account.positions:
            held = account.positions[key]
            held.realized_pnl, held.updated_ts = held.realized_pnl + more, ts
            changed.append(held)
            continue
        # A view or a copy of this account may share the archived row, so it is replaced.
        gone = account.archived[key]
        account.archived[key] = replace(gone, realized_pnl=gone.realized_pnl + more, updated_ts=ts)
        if gone.subaccount == 0:
            account.aged_realized += more
    return changed


def _settlement(account: Account, key: tuple[int, str]) -> Settlement:
    listed = (row for row in account.settlements if (row.subaccount, row.ticker) == key)
    row = account.archived_settlements.get(key) or next(listed, None)
    if row is None:
        raise ValueError(f"no settlement is known of {key[1]} in subaccount {key[0]}")
    return row
