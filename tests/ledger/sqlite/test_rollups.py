"""Rollups: whatever is split, merged, killed or moved to another time zone, they equal the raw rows."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.domain.record import Marks
from pnl_backend.domain.times import business_date
from pnl_backend.ledger.sql.rollups import HOUR_MS, MINUTE_MS, UTC_SPANS, Calendar, Rollup, coarser, merge
from pnl_backend.ledger.sqlite import Store, functions
from pnl_backend.ledger.sqlite.catching_up import catch_up
from pnl_backend.ledger.sqlite.ledger_file import APPLICATION_ID
from pnl_backend.ledger.sqlite.migrations import migrate
from tests.ledger.sqlite.ledger import NOON, MakeRecord, OpenStore
from tests.ledger.sqlite.recompute import SPANS, Raw, from_raw, kept, recomputed

UTC = Calendar(ZoneInfo("UTC"))


def of(raw: Raw, span: int = MINUTE_MS) -> Rollup:
    seq, at, net, kalshi, costs, revenue, complete, not_live, estimated = raw
    marks = int(complete), ",".join(sorted(not_live)), int(estimated)
    return Rollup(span, UTC.start(span, at), seq, seq, net, net, net, net, kalshi, costs, revenue, 1, *marks)


times = st.integers(NOON, NOON + 3 * HOUR_MS)
sums = st.integers(-(10**9), 10**9)
names = st.frozensets(st.sampled_from(["anthropic", "johns", "kalshi"]))
raws = st.lists(
    st.tuples(times, sums, sums, sums, sums, st.booleans(), names, st.booleans()), min_size=1, max_size=60
).map(lambda rows: [(seq, *row) for seq, row in enumerate(rows, start=1)])


@given(raws, st.randoms(use_true_random=False))
def test_rollups_of_rollups_equal_rollups_of_raw_rows_for_any_split(rows: list[Raw], rng: random.Random) -> None:
    parts = [of(row) for row in rows]
    rng.shuffle(parts)
    minutes: dict[int, Rollup] = {}
    for part in parts:
        minutes[part.start] = merge(minutes[part.start], part) if part.start in minutes else part
    gathered = coarser(minutes.values(), SPANS, UTC)
    assert {(row.span, row.start): row for row in gathered} == from_raw(rows, UTC)
    cut = rng.randrange(len(parts) + 1)
    halves = coarser(parts[:cut], UTC_SPANS, UTC) + coarser(parts[cut:], UTC_SPANS, UTC)
    hours = coarser([row for row in halves if row.span == 5 * MINUTE_MS], [HOUR_MS], UTC)
    assert {row.start: row for row in hours} == {k[1]: v for k, v in from_raw(rows, UTC).items() if k[0] == HOUR_MS}


async def fill(store: Store, record: MakeRecord, ats: list[int], rng: random.Random) -> None:
    for at in ats:
        net = rng.randrange(-(10**6), 10**6)
        sums = {"net_cents": net, "kalshi_cents": net + 1, "costs_cents": net + 2, "revenue_cents": net + 3}
        await store.append(record(store, at=at, marks=any_marks(rng), **sums))


def any_marks(rng: random.Random) -> Marks:
    not_live = tuple(sorted(rng.sample(["anthropic", "johns", "kalshi"], rng.choice([0, 0, 1, 3]))))
    return Marks(rng.random() < 0.5, (), not_live, rng.random() < 0.2)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
async def test_appends_roll_up_as_the_raw_rows_do(
    open_store: OpenStore, record: MakeRecord, path: Path, zone: str
) -> None:
    rng = random.Random(zone)
    at, ats = NOON, []
    for _ in range(400):
        at += rng.choice([0, 7, 5000, 61_000, HOUR_MS, -90_000])
        ats.append(at)
    store = await open_store(timezone=zone)
    await fill(store, record, ats, rng)
    assert kept(path) == recomputed(path, zone)


@pytest.mark.parametrize(
    ("zone", "changes", "hours"),
    [("America/New_York", 1_772_953_200_000, 23), ("America/New_York", 1_793_512_800_000, 25)],
    ids=["spring", "autumn"],
)
async def test_a_business_day_is_as_long_as_the_clocks_say(
    open_store: OpenStore, record: MakeRecord, zone: str, changes: int, hours: int
) -> None:
    store = await open_store(timezone=zone)
    ats = [changes + n * HOUR_MS for n in range(-30, 31)]
    await fill(store, record, ats, random.Random(1))
    days = await store.history(ats[0], ats[-1], "1d")
    day = business_date(changes, ZoneInfo(zone))
    (short,) = [row for row in days if business_date(int(row.timestamp), ZoneInfo(zone)) == day]
    assert short.count == hours


async def test_another_time_zone_parts_the_same_snapshots_into_other_days(
    open_store: OpenStore, record: MakeRecord, path: Path
) -> None:
    store = await open_store(timezone="UTC")
    await fill(store, record, [NOON + n * HOUR_MS for n in range(100)], random.Random(2))
    await store.close()
    for zone in ("Asia/Tokyo", "Asia/Kathmandu", "UTC"):
        await (await open_store(timezone=zone)).close()
        assert kept(path) == recomputed(path, zone)


def older_ledger(path: Path, count: int) -> None:
    """A file of the schema before there were rollups."""
    path.parent.mkdir()
    rng = random.Random(3)
    rows = [(seq, NOON + seq * 40_000, rng.randrange(10**6)) for seq in range(1, count + 1)]
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(old, lambda *_: None, to=1)
        old.execute("BEGIN")
        old.execute("INSERT INTO epochs VALUES (1, 'older')")
        old.execute("INSERT INTO meta VALUES ('origin', 'live'), ('first_run', '2026-02-25')")
        sums = [(seq, at, net, net + 1, net + 2, net + 3) for seq, at, net in rows]
        old.executemany("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?)", sums)
        old.executemany("INSERT INTO payloads VALUES (?, x'', x'')", [(seq,) for seq, _, _ in rows])
        old.execute("COMMIT")


async def test_an_older_ledger_is_rolled_up_when_it_is_opened(open_store: OpenStore, path: Path) -> None:
    older_ledger(path, 500)
    store = await open_store()
    assert [(one.epoch, one.seq) for one in await store.newest(1)] == [("older", 500)]
    assert kept(path) == recomputed(path)


def test_rolling_up_goes_on_where_it_was_killed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pnl_backend.ledger.sqlite.catching_up.BATCH", 100)
    older_ledger(path, 950)
    told: list[int] = []

    def killed(what: str, done: int, _of: int) -> None:
        if what == "Rolling up older snapshots":
            told.append(done)
            if done in {200, 500}:
                raise KeyboardInterrupt

    for _ in range(3):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            migrate(connection, killed)
            try:
                functions.register(connection)
                catch_up(connection, UTC, killed)
            except KeyboardInterrupt:
                continue
    assert told[:10] == [100, 200, 300, 400, 500, 600, 700, 800, 900, 950]
    assert kept(path) == recomputed(path)


async def test_a_commit_that_landed_though_it_was_reported_as_failed(
    open_store: OpenStore, record: MakeRecord, path: Path
) -> None:
    store = await open_store()
    await fill(store, record, [NOON + n * 20_000 for n in range(50)], random.Random(4))
    landed = record(store, at=NOON + 50 * 20_000, net_cents=10**8)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match="lock"):
            await store.append(landed)
        sums = (landed.net_cents, landed.kalshi_cents, landed.costs_cents, landed.revenue_cents)
        other.execute("INSERT OR IGNORE INTO marks VALUES (1000, 1, 'landed', '', 0)")
        other.execute("INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, 1000)", (landed.seq, landed.at, *sums))
        other.execute("INSERT INTO payloads VALUES (?, ?, ?)", (landed.seq, landed.data, landed.detail))
        for span in SPANS:
            row = of((landed.seq, landed.at, *sums, True, frozenset(), False), span)
            other.execute("DELETE FROM rollups WHERE span = ? AND start = ?", (span, row.start))
            other.execute("INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        other.execute("COMMIT")
    await fill(store, record, [NOON + n * 20_000 for n in range(51, 60)], random.Random(5))
    assert store.last_seq == 59
    assert kept(path) == recomputed(path)
