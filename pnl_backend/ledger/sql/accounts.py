"""Whose facts the ledger holds: one account for each source, and samples of facts by which an account is recognised."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from pnl_backend.domain.accounts import Account, Evidence
from pnl_backend.domain.classic import ANTHROPIC, JOHNS, KALSHI
from pnl_backend.domain.money import ZERO, exact
from pnl_backend.domain.readings import SourceName
from pnl_backend.domain.record import Restatement
from pnl_backend.ledger.sql import adjustments, marking, transfers, unconfirmed
from pnl_backend.ledger.sql.connection import Connection, Database, Reads
from pnl_backend.ledger.sql.fact_rows import read_fill

_ACCOUNT = "SELECT host, id, name FROM accounts WHERE source = ?"
_REPLACED = "another account was adopted in its place; what was published before is of the former one"
_NOTE = (
    "INSERT INTO accounts (source, host, id, name, noted_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (source) DO UPDATE"
    " SET host = excluded.host, id = excluded.id, name = excluded.name, noted_at = excluded.noted_at"
)

_NEWEST_FILLS = 3
_SPREAD_FILLS = 9
_SAMPLE = 100
"""How many of each kind of facts are compared."""

_PARTS = " UNION ALL ".join(f"SELECT {part} AS number" for part in range(_SPREAD_FILLS))
_FILLS = f"""
SELECT * FROM (SELECT * FROM fills ORDER BY at DESC LIMIT {_NEWEST_FILLS}) AS newest
UNION
SELECT f.* FROM (
    SELECT min(at) AS since, max(at) - min(at) AS span FROM fills
) AS r CROSS JOIN ({_PARTS}) AS part JOIN fills AS f ON f.fill_id = (
    SELECT fill_id FROM fills WHERE at >= r.since + r.span * part.number / {_SPREAD_FILLS} ORDER BY at LIMIT 1
)
ORDER BY at DESC
"""  # noqa: S608 - constants
_TRANSFERS = f"SELECT * FROM transfers WHERE id IS NOT NULL ORDER BY created_at DESC LIMIT {_SAMPLE}"  # noqa: S608 - the names and numbers are constants
_POSITIONS = f"""
SELECT ticker, realized, fees FROM positions WHERE realized <> '0' AND subaccount = 0
ORDER BY changed_at DESC LIMIT {_SAMPLE}
"""  # noqa: S608 - the names and numbers are constants
_DEALS = f"SELECT id FROM deals GROUP BY id ORDER BY max(seen_at) DESC LIMIT {_SAMPLE}"  # noqa: S608 - the names and numbers are constants
_COSTS = f"""
SELECT day, amount FROM costs WHERE day IN (SELECT day FROM cost_days ORDER BY day DESC LIMIT {_SAMPLE})
"""  # noqa: S608 - the names and numbers are constants


_FACTS: Mapping[SourceName, Sequence[str]] = {
    KALSHI: ("fills", "settlements", "transfers", "transfer_states", "positions"),
    ANTHROPIC: ("costs", "cost_days"),
    JOHNS: ("deals",),
}
"""The tables that hold the facts of each source."""
_PROGRESS: Mapping[SourceName, Sequence[str]] = {KALSHI: ("walks", "imports", "unconfirmed")}
"""The tables that say how far each source's facts were read."""


class KnownAccounts:
    """The accounts of a ledger that is only read; every method raises StoreError."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def account(self, source: SourceName) -> Account | None:
        """The account that the facts of a source are of; None if none was noted yet."""
        rows = await self._reads.read(_ACCOUNT, (source,))
        return Account(*rows[0]) if rows else None

    async def evidence(self, source: SourceName) -> Evidence:
        """Facts of a source, if there are any: the newest, and of the fills some of every time."""
        if source == KALSHI:
            positions = await self._reads.read(_POSITIONS)
            return Evidence(
                fills=tuple(map(read_fill, await self._reads.read(_FILLS))),
                transfers=tuple(map(transfers.transfer, await self._reads.read(_TRANSFERS))),
                positions={ticker: (Decimal(realized), Decimal(fees)) for ticker, realized, fees in positions},
            )
        if source == JOHNS:
            return Evidence(deals=tuple(deal for (deal,) in await self._reads.read(_DEALS)))
        if source == ANTHROPIC:
            return Evidence(costs=_by_day(await self._reads.read(_COSTS)))
        return Evidence()


class Accounts(KnownAccounts):
    """The accounts of a ledger; every method raises StoreError. `clock` gives seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        super().__init__(database)
        self._database = database
        self._clock = clock

    async def note_account(self, source: SourceName, account: Account) -> None:
        """Hold from now on that the facts of a source are of this account."""
        row = (source, account.host, account.id, account.name, self._now())
        await self._database.write(lambda connection: connection.execute(_NOTE, row))

    async def replace_account(self, source: SourceName, account: Account) -> int:
        """Set aside all facts of a source and hold another account; returns the number of facts.

        They are kept in the table `set_aside` and count no more; snapshots stay as they were published, marked as
        restated.
        """

        def work(connection: Connection) -> int:
            now = self._now()
            held = connection.execute(_ACCOUNT, (source,)).fetchone()
            name = None if held is None else held[2]
            moved = sum(unconfirmed.set_aside(connection, source, name, table, now) for table in _FACTS.get(source, ()))
            _reverse_adjustments(connection, source, now)
            for table in _PROGRESS.get(source, ()):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants
            connection.execute(_NOTE, (source, account.host, account.id, account.name, now))
            (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM snapshots WHERE seq > 0").fetchone()
            if last:
                marking.restate(connection, Restatement(now, source, _REPLACED, last))
            return moved

        return await self._database.write(work)

    async def set_aside_unknown(self) -> int | None:
        """Set aside what the account's complete lists of fills, settlements and transfers have not shown.

        Only facts of the time before accounts were noted; returns their number, None while markets wait to be judged.
        """
        waiting = {kind for (kind,) in await self._database.read(unconfirmed.KINDS)}
        if "positions" in waiting:
            return None
        if not waiting:
            return 0
        return await self._database.write(lambda connection: unconfirmed.set_aside_facts(connection, self._now()))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _reverse_adjustments(connection: Connection, source: SourceName, noted_at: int) -> None:
    """Book the opposite of a source's adjustments, which are never deleted."""
    booked = [adjustments.adjustment(row) for row in connection.execute(adjustments.ALL)]
    total = sum((one.amount for one in booked if one.account == source), ZERO)
    if total:
        reason = "reversed: the account that this was of has been set aside"
        at = min(one.at for one in booked if one.account == source)
        connection.execute(adjustments.ADD, (source, exact(-total), "other", reason, at, noted_at))


def _by_day(rows: Sequence[Sequence[str]]) -> Mapping[date, Decimal]:
    """USD by day; days without cost say nothing about an account."""
    days: dict[date, Decimal] = {}
    for day, amount in rows:
        at = date.fromisoformat(day)
        days[at] = days.get(at, ZERO) + Decimal(amount)
    return {day: usd for day, usd in days.items() if usd}
