"""Whose facts the ledger holds: one account for each source, and samples of facts by which an account is recognised."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from pnl_backend.domain.accounts import Account, Evidence
from pnl_backend.domain.classic import ANTHROPIC, JOHNS, KALSHI
from pnl_backend.domain.ledger_facts import Fill
from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import SourceName
from pnl_backend.ledger.sqlite.database import Database
from pnl_backend.ledger.sqlite.facts import Facts, read_fill

_ACCOUNT = "SELECT host, id, name FROM accounts WHERE source = ?"
_NOTE = "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?)"

_NEWEST_FILLS = 3
_SPREAD_FILLS = 9
_SAMPLE = 100
"""How many of each kind of facts are compared."""

_FILLS = f"""
SELECT * FROM (SELECT * FROM fills ORDER BY at DESC LIMIT {_NEWEST_FILLS})
UNION
SELECT f.* FROM (
    SELECT min(at) AS since, max(at) - min(at) AS span FROM fills
) AS r, json_each('[0, 1, 2, 3, 4, 5, 6, 7, 8]') AS part
JOIN fills AS f ON f.fill_id = (
    SELECT fill_id FROM fills WHERE at >= r.since + r.span * part.value / {_SPREAD_FILLS} ORDER BY at LIMIT 1
)
ORDER BY at DESC
"""  # noqa: S608 - constants
_POSITIONS = f"""
SELECT ticker, realized, fees FROM positions WHERE realized <> '0' ORDER BY changed_at DESC LIMIT {_SAMPLE}
"""  # noqa: S608
_DEALS = f"SELECT id FROM deals GROUP BY id ORDER BY max(seen_at) DESC LIMIT {_SAMPLE}"  # noqa: S608
_COSTS = f"""
SELECT day, amount FROM costs WHERE day IN (SELECT day FROM cost_days ORDER BY day DESC LIMIT {_SAMPLE})
"""  # noqa: S608


class Accounts:
    """The accounts of one ledger; every method raises StoreError."""

    def __init__(self, database: Database, facts: Facts, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._facts = facts
        self._clock = clock

    async def account(self, source: SourceName) -> Account | None:
        """The account that the facts of a source are of; None if none was noted yet."""
        rows = await self._database.read(_ACCOUNT, (source,))
        return Account(*rows[0]) if rows else None

    async def note_account(self, source: SourceName, account: Account) -> None:
        """Hold from now on that the facts of a source are of this account."""
        row = (source, account.host, account.id, account.name, int(self._clock() * 1000))
        await self._database.write(lambda connection: connection.execute(_NOTE, row))

    async def evidence(self, source: SourceName) -> Evidence:
        """Facts of a source, if there are any: the newest, and of the fills some of every time."""
        if source == KALSHI:
            positions = await self._database.read(_POSITIONS)
            return Evidence(
                fills=await self._fills(),
                transfers=tuple([one for one in await self._facts.transfers() if one.id][-_SAMPLE:]),
                positions={ticker: (Decimal(realized), Decimal(fees)) for ticker, realized, fees in positions},
            )
        if source == JOHNS:
            return Evidence(deals=tuple(deal for (deal,) in await self._database.read(_DEALS)))
        if source == ANTHROPIC:
            return Evidence(costs=_by_day(await self._database.read(_COSTS)))
        return Evidence()

    async def _fills(self) -> tuple[Fill, ...]:
        return tuple(map(read_fill, await self._database.read(_FILLS)))


def _by_day(rows: Sequence[Sequence[str]]) -> Mapping[date, Decimal]:
    """USD by day; days without cost say nothing about an account."""
    days: dict[date, Decimal] = {}
    for day, amount in rows:
        at = date.fromisoformat(day)
        days[at] = days.get(at, ZERO) + Decimal(amount)
    return {day: usd for day, usd in days.items() if usd}
