"""Writes a small ledger and cache with the installed version, and what that version answers about them.

    python -m tests.data.ledgers.make

Run it once before a release, and commit the folder that it makes: every later version must open it and give the same
answers. A folder that exists is never written again.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from pnl_backend import __version__
from pnl_backend.cache.sqlite import SQLiteTier
from pnl_backend.domain.ledger_facts import Fill, Settlement, Transfer
from pnl_backend.domain.readings import (
    AnthropicSpend,
    CostRow,
    Deal,
    KalshiPortfolio,
    Position,
    Reading,
    Readings,
    Revenue,
)
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sqlite import Store, maintenance
from pnl_backend.wire.views import to_record
from tests.ledger.sqlite.answers import NAMESPACES, answers, cached, rows
from tests.support.snapshots import computed, taken

HERE = Path(__file__).parent
BEGIN = 1_771_855_200_000
"""2026-02-23T14:00:00Z, ms"""
STEP = 600_000
FIRST_EPOCH, SECOND_EPOCH, LOST = 60, 120, 4
DAYS = [date(2026, 2, 21) + timedelta(days=n) for n in range(5)]
CLOSED, OPEN = DAYS[:3], DAYS[3:]


class Account:
    """Three upstreams whose figures move with every step; the same ones at every run."""

    def __init__(self) -> None:
        self.rng = random.Random(20260223)
        self.tickers = [f"KXTEST-26FEB{20 + n}-T{n}.5" for n in range(5)]
        self.step = 0

    def positions(self) -> tuple[Position, ...]:
        """The first market leaves the list half-way, as archived ones do."""
        listed = self.tickers[1:] if self.step > 100 else self.tickers
        moved = Decimal(self.step // 10)
        return tuple(
            Position(
                ticker,
                Decimal(n * 3 - 6),
                Decimal(n) + Decimal("0.4375"),
                Decimal("1.2345") * n + (moved if n == 2 else 0),
                Decimal("0.0701") * n,
                Decimal(self.rng.randrange(1, 99)) / 100 if n != 3 else None,
                "bid" if n != 3 else None,
            )
            for n, ticker in enumerate(listed)
        )

    def costs(self) -> tuple[CostRow, ...]:
        models = ("claude-opus-4-6", "claude-sonnet-4-5", None)
        return tuple(
            CostRow(day, model, f"wrkspc_{n}" if n else None, Decimal(n + 1) / 7 + self.step, f"key_{n}" if n else None)
            for day in DAYS
            for n, model in enumerate(models)
        )

    def deals(self) -> tuple[Deal, ...]:
        closed = self.step > 40
        return (
            Deal(
                "d-1",
                "Ärzte & Söhne",
                Decimal("1200.50"),
                "recognized" if closed else "pending",
                BEGIN if closed else None,
            ),
            Deal("d-2", "Two", Decimal(700), "pipeline"),
            *([Deal("d-3", "Three", Decimal("99.99"), "recognized", BEGIN)] if self.step < 130 else []),
        )

    def readings(self, at: int) -> Readings:
        """Anthropic has told nothing at first, and John's figure is a kept one now and then."""
        self.step += 1
        kalshi = KalshiPortfolio(Decimal("10000.25") + self.step, self.positions(), Decimal(55))
        spend = AnthropicSpend(DAYS[0], DAYS[-1], self.costs(), estimated=self.step % 50 == 7)
        collected = sum((deal.amount for deal in self.deals() if deal.status == "recognized"), Decimal(0))
        revenue = Revenue(Decimal(2000), collected, Decimal(700), self.deals())
        stale = self.step % 9 == 0
        return taken(
            Reading("kalshi", kalshi, at, at, "live"),
            Reading("anthropic", None if self.step < 5 else spend, at, at, "live" if self.step >= 5 else "fallback"),
            Reading(
                "johns", revenue, at - 5000, at - 5000, "sqlite" if stale else "live", "timed out" if stale else None
            ),
        )


class Writer:
    """Ticks of an invented clock into one ledger."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.account = Account()
        self.at = BEGIN
        self.seq = 0

    async def opened(self) -> Store:
        store = await Store.open(self.path, origin="live", clock=lambda: self.at / 1000, busy_timeout_ms=1)
        self.seq = store.last_seq
        return store

    async def tick(self, store: Store) -> None:
        """One snapshot as the server makes it; its number is used whether it could be stored or not."""
        self.at += STEP
        self.seq += 1
        readings = self.account.readings(self.at)
        assert readings["kalshi"].value is not None
        positions = readings["kalshi"].value.positions
        closed = store.markets.closed_except({p.key for p in positions})
        value = replace(readings["kalshi"].value, closed=closed)
        readings = {**readings, "kalshi": replace(readings["kalshi"], value=value)}
        record = to_record(computed(readings, epoch=store.epoch, seq=self.seq, at=self.at, baseline=Decimal(100)))
        try:
            await store.append(record, positions=positions)
        except StoreError:
            return

    async def ticks(self, store: Store, count: int) -> None:
        for _ in range(count):
            await self.tick(store)
            if self.account.step % 40 == 11:
                await store.facts.add_deals(self.account.deals(), self.at)


async def write_facts(store: Store, writer: Writer) -> None:
    """Facts of every kind, and every form that each of them takes."""
    facts, tickers = store.facts, writer.account.tickers
    sides = ("yes", "no")
    await facts.add_fills(
        Fill(f"f-{n}", f"o-{n // 2}", tickers[n % 5], sides[n % 2], Decimal(n + 1), Decimal(n + 20) / 100,  # type: ignore[arg-type]
             Decimal(n) / 1000, n % 3 == 0, BEGIN + n * 1_000_000)
        for n in range(60)
    )  # fmt: skip
    await facts.add_settlements(
        Settlement(tickers[n % 5], ("yes", "no", "scalar")[n % 3], Decimal(n), Decimal(n) / 3, Decimal(2), Decimal(1),
                   Decimal(n) * 2, None if n == 1 else Decimal(n % 2), Decimal("0.01"), BEGIN + n * 7_000_000)
        for n in range(6)
    )  # fmt: skip
    pending = Transfer("deposit", "t-1", Decimal(500), Decimal(0), "pending", BEGIN, None)
    await facts.add_transfers(
        [
            pending,
            Transfer("deposit", "t-2", Decimal("20.20"), Decimal(0), "returned", BEGIN, BEGIN + 10),
            Transfer("withdrawal", None, Decimal(100), Decimal("1.5"), "applied", None, BEGIN + 99),
        ],
        BEGIN,
    )
    await facts.add_transfers([replace(pending, status="applied", finalized_at=BEGIN + 86_400_000)], BEGIN)
    costs = writer.account.costs()
    await store.save(CLOSED[0], CLOSED[-1], [row for row in costs if row.day in CLOSED[1:]])
    await facts.add_costs([row for row in costs if row.day in OPEN])


async def write_ledger(path: Path) -> None:
    """An old epoch with facts; then, restored from its backup, the present one with a gap in it."""
    writer = Writer(path)
    store = await writer.opened()
    await writer.ticks(store, FIRST_EPOCH)
    await write_facts(store, writer)
    await store.secret()
    await store.close()
    _put_back(path, writer.at / 1000)
    store = await writer.opened()
    await writer.ticks(store, SECOND_EPOCH // 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # these snapshots cannot be stored
        await writer.ticks(store, LOST)
        other.execute("ROLLBACK")
    await writer.ticks(store, SECOND_EPOCH // 2)
    await store.close()


def _put_back(path: Path, now: float) -> None:
    def quiet(_what: str, _done: int, _of: int) -> None:
        """No progress is shown."""

    made = maintenance.backup(path, path.parent / "backups", keep_days=9999, now=now, progress=quiet)
    maintenance.restore(made, path, now=now, progress=quiet)


async def write_cache(path: Path) -> None:
    for namespace in NAMESPACES:
        tier = SQLiteTier(path, namespace=namespace)
        await tier.open()
        for n in range(20):
            await tier.set(f"history:1m:{n}" if n % 2 else f"reading:{n}", f"{namespace} {n}".encode() * n, 60.0 + n)
        await tier.delete("reading:4")
        await tier.close()


async def make(folder: Path) -> None:
    """Everything into `folder`, which must not exist yet."""
    ledger, cache = folder / "pnl.db", folder / "pnl-cache.db"
    await write_ledger(ledger)
    await write_cache(cache)
    store = await Store.open(ledger, origin="live", clock=_clock_at_the_end(ledger))
    expected = {**await answers(store), "lastSeq": store.last_seq}
    await store.close()
    expected |= {"version": __version__, **rows(ledger), "cache": await cached(cache)}
    (folder / "expected.json").write_text(_readable(expected))


def _clock_at_the_end(ledger: Path) -> Callable[[], float]:
    with closing(sqlite3.connect(ledger)) as connection:
        ((at,),) = connection.execute("SELECT max(at) FROM snapshots")
    return lambda: at / 1000


def _readable(expected: dict[str, object]) -> str:
    """JSON with a line for each row."""
    parts = []
    for name, value in expected.items():
        if isinstance(value, list) and value and isinstance(value[0], list | dict):
            body = (
                "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in value) + "\n]"
            )
        else:
            body = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        parts.append(f"{json.dumps(name)}: {body}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    target = HERE / __version__
    if target.exists():
        print(f"{target} exists: a version's ledger is written once", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(make(Path(made)))
        target.mkdir()
        for name in ("pnl.db", "pnl-cache.db", "expected.json"):
            (target / name).write_bytes((Path(made) / name).read_bytes())
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
