"""A ledger of many days, and how long each query of it takes: p50 and p99 by range and resolution, size per day.

    python -m bench.year [days] [directory] [--database postgres]

365 days at a snapshot in five seconds are 6.3 million rows and about 13 GB: less is measured when days are few. The
rows are written straight into the file, as a ledger from before there were rollups; opening it then rolls it up, which
is the longest migration there is. Questions are asked at random places, so most find their pages on disk or in the
system's cache, not in SQLite's. With `--database postgres` the ledger is then moved to a private PostgreSQL server,
whose log is synced to disk at every commit, and asked there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

from loguru import logger

from pnl_backend.domain.record import Record
from pnl_backend.ledger import postgres
from pnl_backend.ledger.location import Location
from pnl_backend.ledger.moving.run import move
from pnl_backend.ledger.sql.store import LedgerStore
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.sqlite.ledger_file import APPLICATION_ID
from pnl_backend.ledger.sqlite.migrations import migrate
from pnl_backend.wire.history import Resolution
from tests.support.postgres import private_postgres

RESULTS = Path(__file__).parent / "results"
STEP = 5000
DAY = 86_400_000
BEGIN = 1_735_689_600_000  # 2025-01-01T00:00:00Z
DATA, DETAIL = 920, 920
"""Bytes of a demo snapshot's two documents."""
HEAD = b'{"degraded":[],"sources":{"kalshi":{},"anthropic":{},"johns":{}},"rest":"'
"""What a migration reads of a snapshot's document."""

ASKED = 200
RANGES: tuple[tuple[Resolution, str, int], ...] = (
    ("raw", "1 hour", DAY // 24),
    ("raw", "14 hours", 14 * DAY // 24),
    ("1m", "1 hour", DAY // 24),
    ("1m", "1 day", DAY),
    ("1m", "7 days", 7 * DAY),
    ("5m", "1 day", DAY),
    ("5m", "30 days", 30 * DAY),
    ("1h", "30 days", 30 * DAY),
    ("1h", "365 days", 365 * DAY),
    ("1d", "365 days", 365 * DAY),
)


def rows(count: int) -> Iterator[tuple[int, int, int, int, int, int]]:
    """A walk of cents: seq, at, net, kalshi, costs, revenue."""
    rng = random.Random(1)
    kalshi, costs, revenue = 400_00, 0, 2000_00
    for seq in range(1, count + 1):
        kalshi += rng.randrange(-50, 51)
        costs += seq % 7 == 0
        yield seq, BEGIN + seq * STEP, kalshi + revenue - costs, kalshi, costs, revenue


def generate(path: Path, count: int) -> float:
    """Write the raw rows; seconds."""
    began = time.monotonic()
    blob = random.Random(2).randbytes(1 << 15).hex().encode()
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = OFF")
        file.execute("PRAGMA synchronous = OFF")
        file.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(file, lambda *_: None, to=1)
        file.execute("BEGIN")
        file.execute("INSERT INTO meta VALUES ('origin', 'demo'), ('first_run', '2025-01-01')")
        file.execute("INSERT INTO epochs VALUES (1, 'bench')")
        file.executemany("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?)", rows(count))
        documents = (
            (seq, document(blob[seq % 60_000 :]), blob[seq % 50_000 : seq % 50_000 + DETAIL])
            for seq in range(1, count + 1)
        )
        file.executemany("INSERT INTO payloads VALUES (?, ?, ?)", documents)
        file.execute("COMMIT")
    os.sync()  # what is still to be written would be measured otherwise
    return time.monotonic() - began


def document(filling: bytes) -> bytes:
    """A complete snapshot's document of `DATA` bytes."""
    return HEAD + filling[: DATA - len(HEAD) - 2] + b'"}'


async def timed(ask: Callable[[], Awaitable[object]], times: int = ASKED) -> list[list[float]]:
    """Milliseconds of each call, and those of this process's CPU time, sorted."""
    walls, cpus = [], []
    for _ in range(times):
        began, worked = time.perf_counter(), time.process_time()
        await ask()
        walls.append(1000 * (time.perf_counter() - began))
        cpus.append(1000 * (time.process_time() - worked))
    return [sorted(walls), sorted(cpus)]


def line(name: str, took: list[list[float]], target: str, note: str = "") -> str:
    (p50, p99), (_, cpu) = [(ms[len(ms) // 2], ms[int(len(ms) * 0.99)]) for ms in took]
    row = f"| {name} | {note} | {p50:.2f} | **{p99:.2f}** | {cpu:.2f} | {target} |"
    print(row, flush=True)
    return row


async def ask(store: LedgerStore, days: int, insert: str) -> list[str]:
    """A row of the table for each question."""
    rng = random.Random(3)
    end = BEGIN + days * DAY
    lines = []
    for resolution, name, length in RANGES:
        if length > days * DAY:
            continue
        counts: list[int] = []

        async def one(resolution: Resolution = resolution, length: int = length, counts: list[int] = counts) -> None:
            start = rng.randrange(BEGIN, end - length + 1)
            counts.append(len(await store.history(start, start + length - 1, resolution)))

        took = await timed(one)
        lines.append(line(f"{resolution}, {name}", took, "50", f"{max(counts):,} rows"))
    epoch = store.epoch
    lines += [
        line("latest snapshot", await timed(store.latest), "5"),
        line("latest snapshot from disk", await timed(lambda: store.newest(1)), "5"),
        line("newest 100", await timed(lambda: store.newest(100)), "50"),
        line("newest 1,000", await timed(lambda: store.newest(1000)), "50"),
        line("replay of 24", await timed(lambda: store.since(epoch, store.last_seq - 24)), "50"),
        line("30 daily closes", await timed(lambda: store.daily_closes(30)), "50"),
    ]

    async def append() -> None:
        seq = store.last_seq + 1
        await store.append(Record(epoch, seq, BEGIN + seq * STEP, seq, seq, 0, 0, document(b"x" * DATA), b"y" * DETAIL))

    lines.append(line(insert, await timed(append, 2000), "5"))
    return lines


async def export(store: LedgerStore, end: int) -> str:
    """Every raw row, chunk by chunk: rows a second, and what it took of memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    count = 0
    async for chunk in store.export(BEGIN, end, "raw"):
        count += len(chunk)
    took = time.monotonic() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return f"Export of {count:,} raw rows: {count / took:,.0f} rows a second, {grown:.0f} MB more memory at most."


async def measure(days: int, place: Path) -> str:
    path = place / "year.db"
    count = days * DAY // STEP
    wrote = generate(path, count)
    began = time.monotonic()
    store = await Store.open(path, origin="demo", clock=lambda: (BEGIN + days * DAY) / 1000)
    rolled_up = time.monotonic() - began
    size = path.stat().st_size
    try:
        lines = await ask(store, days, "insert, synchronous=FULL")
        exported = await export(store, BEGIN + days * DAY)
        began = time.monotonic()
        await store.backup(place / "backups", keep_days=1)
        backed_up = time.monotonic() - began
    finally:
        await store.close()
    held = f"{days} days, {count:,} snapshots, {size / 1e9:.2f} GB: {size / days / 1e6:.1f} MB a day"
    took = f"written in {wrote:.0f} s, rolled up in {rolled_up:.0f} s, backed up and verified in {backed_up:.0f} s"
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    notes = f"{held} at {DATA + DETAIL} bytes a snapshot; {took}.\n{exported} Measured at a {load}."
    return f"{HEADINGS}{chr(10).join(lines)}\n\n{notes}\n"


async def measure_postgres(days: int, place: Path) -> str:
    """The same questions of the same ledger, moved to PostgreSQL."""
    file = Location(place / "year.db")
    wrote = generate(file.path, days * DAY // STEP)
    now = (BEGIN + days * DAY) / 1000
    with private_postgres(fsync=True) as server:
        database = Location(file.path, server.database(empty=True))
        began = time.monotonic()
        move(file, database, origin="demo", timezone="UTC", now=now, progress=lambda *_: None, on_line=print)
        moved = time.monotonic() - began
        with server.admin((database.url or "").rpartition("/")[2]) as admin:
            admin.execute("ANALYZE")
            admin.execute("CHECKPOINT")
            (size,) = admin.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
        store = await postgres.Store.open(database.url or "", origin="demo", clock=lambda: now)
        try:
            lines = await ask(store, days, "insert, synchronous_commit=on")
            exported = await export(store, BEGIN + days * DAY)
        finally:
            await store.close()
    held = f"{days} days, {days * DAY // STEP:,} snapshots, {int(str(size)) / 1e9:.2f} GB"
    load = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    took = f"written in {wrote:.0f} s, rolled up, moved and compared in {moved:.0f} s"
    notes = f"{held}; {took}.\n{exported} Measured at a {load}."
    return f"{HEADINGS}{chr(10).join(lines)}\n\n{notes}\n"


HEADINGS = "| question | answer | p50 ms | p99 ms | p99 CPU ms | target ms |\n|---|---|---|---|---|---|\n"
MEASURES = {
    "sqlite": (measure, "year.md", "The ledger"),
    "postgres": (measure_postgres, "year_postgres.md", "The ledger in PostgreSQL"),
}


def main(days: int = 30, place: str | None = None, database: str = "sqlite") -> str:
    """Measure; the table as Markdown, also written to bench/results/."""
    logger.remove()
    run, file, title = MEASURES[database]
    scratch = Path(tempfile.mkdtemp(prefix="pnl-year-", dir=place))
    try:
        table = asyncio.run(run(days, scratch))
    finally:
        shutil.rmtree(scratch)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / file).write_text(f"# {title} after {days} days\n\n{table}")
    print(table)
    return table


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m bench.year")
    arguments.add_argument("days", type=int, nargs="?", default=30)
    arguments.add_argument("place", nargs="?", help="the directory of the ledger")
    arguments.add_argument("--database", choices=MEASURES, default="sqlite")
    given = arguments.parse_args()
    main(given.days, given.place, given.database)
