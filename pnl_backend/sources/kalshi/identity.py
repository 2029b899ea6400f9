"""Finds out which of the ledger's facts a Kalshi account has: its fills, its transfers, else its markets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pnl_backend.domain.accounts import Evidence
from pnl_backend.domain.ledger_facts import Fill
from pnl_backend.sources.kalshi.api import KalshiApi
from pnl_backend.sources.kalshi.facts import read_transfers
from pnl_backend.sources.kalshi.positions import read_positions

FILLS = ("/portfolio/fills", "/historical/fills")
POSITIONS = ("/portfolio/positions", "/historical/positions")
TRANSFERS = ("deposit", "withdrawal")


class KnownFacts:
    """Compares one account: the newest facts first, until the first that it has."""

    def __init__(self, api: KalshiApi) -> None:
        self._api = api

    async def recognise(self, evidence: Evidence) -> Sequence[str]:
        """The facts that the account has. Fills decide where there are any: no two accounts share one."""
        if evidence.fills:
            return await self._fills(evidence.fills)
        if evidence.transfers:
            known = [await self._transfer_keys(kind) for kind in TRANSFERS]
            return [transfer.key for transfer in evidence.transfers if any(transfer.key in keys for keys in known)]
        return await self._positions(evidence.positions)

    async def _fills(self, fills: Sequence[Fill]) -> list[str]:
        for fill in fills:
            second = fill.at // 1000
            during = [("ticker", fill.ticker)]
            if not fill.time_estimated:
                during += [("min_ts", str(second)), ("max_ts", str(second + 1))]
            for path in FILLS:
                rows = await self._api.rows(path, "fills", during)
                if any(fill.fill_id in (row.get("fill_id"), row.get("trade_id")) for row, _ in rows):
                    return [f"fill {fill.fill_id}"]
        return []

    async def _transfer_keys(self, kind: str) -> set[str]:
        rows = await self._api.rows(f"/portfolio/{kind}s", f"{kind}s", limit=None)
        return {transfer.key for transfer in read_transfers(rows, "deposit" if kind == "deposit" else "withdrawal")}

    async def _positions(self, positions: Mapping[str, tuple[Decimal, Decimal]]) -> list[str]:
        for ticker, figures in positions.items():
            for path in POSITIONS:
                scope = [("ticker", ticker), *([("settlement_status", "all")] if path == POSITIONS[0] else [])]
                found = read_positions(await self._api.rows(path, "market_positions", scope)).get(ticker)
                if found is not None and (found.realized_pnl, found.fees) == figures:
                    return [f"market {ticker}"]
        return []
