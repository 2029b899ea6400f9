"""Which subaccounts of a Kalshi account count: the named ones, or all that exist."""

from __future__ import annotations

from collections.abc import Sequence

from pnl_backend.errors import UpstreamNotFound
from pnl_backend.sources.fields import objects, whole
from pnl_backend.sources.kalshi.api import KalshiApi, where

BALANCES = "/portfolio/subaccounts/balances"
PRIMARY = (0,)
LAST = 63


class Subaccounts:
    """The subaccounts of one account; `named=None` takes those that Kalshi lists, at every `read`."""

    def __init__(self, api: KalshiApi, named: Sequence[int] | None = PRIMARY) -> None:
        self._api = api
        self.named = named
        """Those that the settings name; None for all."""
        self.current: Sequence[int] = PRIMARY if named is None else named
        """Those that counted last."""

    async def read(self) -> Sequence[int]:
        """Their numbers, in order; raises FetchError. Where Kalshi has no list of them, the primary one alone."""
        if self.named is None:
            try:
                answer = await self._api.get(BALANCES)
            except UpstreamNotFound:
                return self.current
            rows = objects(answer, "subaccount_balances", where(BALANCES))
            path = f"{where(BALANCES)}subaccount_balances"
            found = {whole(row, "subaccount_number", f"{path}[{index}]", least=0) for index, row in enumerate(rows)}
            self.current = sorted({*PRIMARY, *found})
        return self.current


def read_subaccounts(text: str) -> Sequence[int] | None:
    """`0,3` as numbers, `all` as None; ValueError for anything else."""
    if text.strip().lower() == "all":
        return None
    numbers = sorted({int(part) for part in text.split(",")})
    if not all(0 <= number <= LAST for number in numbers):
        raise ValueError(f"subaccounts are 0 to {LAST}")
    return numbers
