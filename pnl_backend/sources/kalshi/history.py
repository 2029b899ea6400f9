"""Reads what happened on a Kalshi account: fills, settlements, deposits and withdrawals."""

from __future__ import annotations

from pnl_backend.domain.ledger_facts import Fill, Settlement, Transfer
from pnl_backend.sources.kalshi.api import KalshiApi
from pnl_backend.sources.kalshi.facts import read_fill, read_settlement, read_transfers, unique

FILLS, SETTLEMENTS = "/portfolio/fills", "/portfolio/settlements"
DEPOSITS, WITHDRAWALS = "/portfolio/deposits", "/portfolio/withdrawals"


class KalshiHistory:
    """The history of the account (subaccount 0); every method raises FetchError."""

    def __init__(self, api: KalshiApi) -> None:
        self._api = api

    async def fills(self, since: int | None = None) -> tuple[Fill, ...]:
        """Every fill (from `since` on, ms), newest first."""
        rows = await self._api.rows(FILLS, "fills", _scope(since))
        return unique(read_fill(row, path) for row, path in rows)

    async def settlements(self, since: int | None = None) -> tuple[Settlement, ...]:
        """Every settlement (from `since` on, ms), newest first."""
        rows = await self._api.rows(SETTLEMENTS, "settlements", _scope(since))
        return unique(read_settlement(row, path) for row, path in rows)

    async def deposits(self) -> tuple[Transfer, ...]:
        """Every deposit, whatever became of it."""
        return read_transfers(await self._api.rows(DEPOSITS, "deposits", limit=None), "deposit")

    async def withdrawals(self) -> tuple[Transfer, ...]:
        """Every withdrawal, whatever became of it."""
        return read_transfers(await self._api.rows(WITHDRAWALS, "withdrawals", limit=None), "withdrawal")


def _scope(since: int | None) -> list[tuple[str, str]]:
    """The scope of positions (subaccount 0), which fills and settlements leave unless told; Kalshi counts seconds."""
    return [("subaccount", "0"), *([("min_ts", str(since // 1000))] if since is not None else [])]
