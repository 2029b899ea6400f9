"""Finds what became of markets that were unsettled a moment ago and are not any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from pnl_backend.domain.ledger_facts import Settlement
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import MarketKey, Position
from pnl_backend.sources.concurrent import together
from pnl_backend.sources.fields import text
from pnl_backend.sources.kalshi.api import HISTORICAL_POSITIONS, POSITIONS, KalshiApi, Params
from pnl_backend.sources.kalshi.facts import read_settlement
from pnl_backend.sources.kalshi.history import SETTLEMENTS
from pnl_backend.sources.kalshi.positions import read_positions

MOST_AT_ONCE = 50
"""Markets fetched one by one in one fetch; where more are missing, whole lists are read."""

CALLS_AT_ONCE = 5
_LONGEST_PAUSE = 60.0


@dataclass(slots=True)
class _Attempt:
    """How often a market was looked for in vain, and when it is looked for again (monotonic seconds)."""

    failures: int
    due: float


class Settling:
    """Looks for single markets; what nothing explains is looked for again, ever more rarely."""

    def __init__(self, api: KalshiApi, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._monotonic = monotonic
        self._attempts: dict[MarketKey, _Attempt] = {}

    def due(self, missing: Collection[MarketKey]) -> list[MarketKey]:
        """Those that are to be looked for now; the others are dropped."""
        self._attempts = {key: attempt for key, attempt in self._attempts.items() if key in missing}
        now = self._monotonic()
        return [key for key in missing if key not in self._attempts or self._attempts[key].due <= now]

    async def find(
        self, keys: Iterable[MarketKey], known: Mapping[MarketKey, Position], found: dict[MarketKey, Position]
    ) -> None:
        """Add their present rows to `found`, a few at a time; one that nothing explains is left out.

        `known` are the last known rows. Raises FetchError; what was found until then is in `found`.
        """
        places = asyncio.Semaphore(CALLS_AT_ONCE)

        async def look(key: MarketKey) -> None:
            async with places:
                position = await self._find(key, known.get(key))
            if position is None:
                self._failed(key)
            else:
                found[key] = position

        await together(*map(look, keys))

    async def _find(self, key: MarketKey, known: Position | None) -> Position | None:
        """From the list of settled markets, the archive, or the settlement; in the end still unsettled perhaps."""
        ticker, subaccount = key
        of: Params = [("ticker", ticker), ("subaccount", str(subaccount))]
        for path, params in ((POSITIONS, [("settlement_status", "settled"), *of]), (HISTORICAL_POSITIONS, of)):
            rows = await self._api.rows(path, "market_positions", params)
            position = read_positions(rows, subaccount, settled=True).get(ticker)
            if position is not None:
                return position
        rows = await self._api.rows(SETTLEMENTS, "settlements", of)
        settlements = [read_settlement(row, path) for row, path in rows if text(row, "ticker", path) == ticker]
        return closed_by(settlements, known) if known is not None else None

    def _failed(self, key: MarketKey) -> None:
        failures = self._attempts[key].failures + 1 if key in self._attempts else 1
        pause = min(2.0 ** min(failures - 1, 10) - 1, _LONGEST_PAUSE)
        self._attempts[key] = _Attempt(failures, self._monotonic() + pause)


def closed_by(settlements: Collection[Settlement], known: Position) -> Position | None:
    """`known` as its settlement leaves it: it brought the revenue less what the contracts had cost.

    None where that is not all that happened since it was last seen: no settlement, several, or of other contracts.
    """
    if len(settlements) != 1:
        return None
    (paid,) = settlements
    held = paid.yes_count - paid.no_count
    cost = paid.yes_cost + paid.no_cost
    if held != known.quantity or (held and cost != known.cost):
        return None
    gain: Decimal = paid.revenue - cost if held else ZERO
    return replace(
        known,
        quantity=ZERO,
        cost=ZERO,
        realized_pnl=known.realized_pnl + gain,
        fees=max(known.fees, paid.fee),
        mark=None,
        mark_source=None,
        settled=True,
    )
