"""What a ledger answers, as plain JSON: recorded once by the version that wrote it, asked of every later version."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from pnl_backend.cache.sqlite import SQLiteTier
from pnl_backend.ledger.sqlite import Store
from pnl_backend.wire.history import Resolution

END = 4_102_444_800_000
"""2100-01-01, ms"""

RESOLUTIONS: tuple[Resolution, ...] = ("raw", "1m", "5m", "1h", "1d")
COLUMNS = ("timestamp", "netPnL", "kalshiPnL", "costs", "revenue", "open", "high", "low", "close", "count")
NAMESPACES = ("live", "demo")


async def answers(store: Store) -> dict[str, Any]:
    """The answers of an open ledger; nothing in it is changed."""
    held = await store.newest(100_000)
    return {
        "snapshots": [
            [r.epoch, r.seq, r.at, r.net_cents, r.kalshi_cents, r.costs_cents, r.revenue_cents, _sum(r.data + r.detail)]
            for r in held
        ],
        "since": {str(r.seq): await _replayed(store, r.seq) for r in held[::20]},
        "history": {name: await _history(store, name) for name in RESOLUTIONS},
        "closes": [[c.day.isoformat(), c.revenue_cents, c.expenses_cents] for c in await store.daily_closes(30)],
        **await answers_of_facts(store),
    }


async def answers_of_facts(store: Store) -> dict[str, Any]:
    """Those answers that do not depend on the snapshots, which take long where these are many."""
    facts = store.facts
    always = date(2000, 1, 1), date(2099, 12, 31)
    return {
        "epoch": store.epoch,
        "firstRun": store.first_run.isoformat(),
        "fills": _plain(await facts.fills(0, END, limit=100_000)),
        "settlements": _plain(await facts.settlements(0, END, limit=100_000)),
        "transfers": _plain(await facts.transfers()),
        "deals": _plain(await facts.deals()),
        "costs": _plain(await facts.costs(*always)),
        "closedDays": sorted(day.isoformat() for day in (await store.load()).days),
        "agedOut": [str(amount) for amount in _all_markets(store)],
        "secret": _sum(await store.secret()),
    }


def rows(path: Path) -> dict[str, Any]:
    """What no public question shows: epochs, gaps, and every form that a deal had."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return {
            "epochs": list(map(list, connection.execute("SELECT first_seq, epoch FROM epochs ORDER BY 1"))),
            "gaps": list(map(list, connection.execute("SELECT first_seq, last_seq FROM gaps ORDER BY 1"))),
            "dealForms": list(
                map(list, connection.execute("SELECT id, seen_at, amount, status FROM deals ORDER BY 1, 2"))
            ),
        }


async def cached(path: Path) -> dict[str, list[list[str]]]:
    """Every value that a cache file holds, by namespace."""
    held = {}
    for namespace in NAMESPACES:
        tier = SQLiteTier(path, namespace=namespace)
        held[namespace] = [[key, _sum(value)] for key, value in await tier.last_known()]
        await tier.close()
    return held


async def _history(store: Store, resolution: Resolution) -> list[list[float]]:
    return [
        [getattr(row, name) for name in COLUMNS] async for chunk in store.export(0, END, resolution) for row in chunk
    ]


async def _replayed(store: Store, seq: int) -> list[int] | None:
    missed = await store.since(store.epoch, seq)
    return None if missed is None else [record.seq for record in missed]


def _all_markets(store: Store) -> tuple[Decimal, Decimal]:
    every = store.markets.closed_except(())
    return every.realized_pnl, every.fees


def _sum(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]


def _plain(things: Iterable[Any]) -> list[dict[str, Any]]:
    return [{name: _text(value) for name, value in asdict(thing).items()} for thing in things]


def _text(value: object) -> object:
    return str(value) if isinstance(value, Decimal | date) else value
