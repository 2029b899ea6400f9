"""The ledger through its public interface: what is appended is found again, also by the next process."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

import pytest

from pnl_backend.domain.readings import ClosedMarkets, CostRow, Position
from pnl_backend.domain.record import Marks, Record, Restatement
from pnl_backend.errors import StoreError
from pnl_backend.ledger.sql.store import LedgerStore
from pnl_backend.wire.history import Resolution
from pnl_backend.wire.message import UNSET
from tests.ledger.sqlite.ledger import NOON, MakeRecord, OpenStore
from tests.ledger.store.places import Place

RESOLUTIONS: tuple[Resolution, ...] = ("1m", "5m", "15m", "1h", "4h", "1d", "1w")


def position(ticker: str, realized: str, fees: str = "0") -> Position:
    return Position(ticker, Decimal(0), Decimal(0), Decimal(realized), Decimal(fees))


async def fill(store: LedgerStore, record: MakeRecord, count: int) -> None:
    for _ in range(count):
        await store.append(record(store))


async def test_a_new_ledger_is_empty_and_named(store: LedgerStore) -> None:
    assert store.last_seq == 0
    assert await store.latest() is None
    assert await store.newest(10) == []
    assert await store.since(store.epoch, 0) == []
    assert len(store.epoch) == 8
    assert store.epoch.isalnum()


async def test_what_is_appended_is_found_again(store: LedgerStore, record: MakeRecord) -> None:
    records = [record(store, n) for n in range(1, 6)]
    for one in records:
        await store.append(one)
    assert store.last_seq == 5
    assert await store.latest() == records[-1]
    assert await store.newest(3) == records[2:]
    assert await store.newest(100) == records


DAY_MS = 86_400_000
EVERY = frozenset({"kalshi", "anthropic", "johns"})


async def test_the_last_complete_snapshot_is_looked_for_in_seven_days_of_snapshots(store: LedgerStore) -> None:
    """However long ago those are; one further back is not worth the search."""

    async def add(seq: int, at: int, *degraded: str) -> None:
        marks = Marks(not degraded, tuple(sorted(EVERY - set(degraded))), degraded)
        await store.append(Record(store.epoch, seq, at, 1, 1, 0, 0, b"{}", b"{}", marks))

    async def last(at: int, configured: frozenset[str] = EVERY) -> int | None:
        found = await store.last_complete_before(at, configured)
        return found.seq if found else None

    await add(1, NOON)
    await add(2, NOON + 5000, "anthropic")
    await add(3, NOON + 7 * DAY_MS, "anthropic", "johns")
    assert await last(NOON) is None
    assert await last(NOON + 1) == 1
    assert await last(NOON + 365 * DAY_MS) == 1
    assert await last(NOON + 365 * DAY_MS, frozenset({"kalshi", "johns"})) == 2
    assert await last(NOON + 365 * DAY_MS, frozenset({"kalshi"})) == 3
    assert await last(NOON + 7 * DAY_MS, frozenset({"kalshi"})) == 2
    await add(4, NOON + 7 * DAY_MS + 1, "anthropic", "johns")
    assert await last(NOON + 365 * DAY_MS) is None


async def test_restated_snapshots_stay_and_are_no_baselines(open_store: OpenStore, record: MakeRecord) -> None:
    store = await open_store()
    whole = Marks(whole=tuple(sorted(EVERY)))
    for _ in range(3):
        await store.append(record(store, marks=whole))
    assert store.restatements == ()
    made = await store.restate("kalshi", "archived markets were missing", NOON + 1)
    assert made == Restatement(NOON + 1, "kalshi", "archived markets were missing", 3)
    assert await store.last_complete_before(NOON + DAY_MS, EVERY) is None
    assert await store.first_complete(0, EVERY) is None
    for _ in range(2):
        await store.append(record(store, marks=whole))
    for again in (False, True):
        if again:
            await store.close()
            store = await open_store(clock=lambda: (NOON + 60_000) / 1000)
        assert store.restatements == (made,)
        assert store.restated_to == 3
        last, first = await store.last_complete_before(NOON + DAY_MS, EVERY), await store.first_complete(0, EVERY)
        assert (last and last.seq, first and first.seq) == (5, 4)
        held = await store.newest(9)
        assert [(one.seq, one.restated) for one in held] == [(1, True), (2, True), (3, True), (4, False), (5, False)]
        raw = await store.history(0, NOON + DAY_MS, "raw")
        assert [row.restated is True for row in raw] == [True, True, True, False, False]
        for resolution in RESOLUTIONS:
            (row,) = await store.history(0, NOON + DAY_MS, resolution)
            assert row.restated is True, "what it opened with was restated"
            assert row.open == raw[0].netPnL
    assert [close.restated for close in await store.daily_closes(1)] == [True]


async def test_a_restatement_that_cannot_be_stored_marks_nothing(
    store: LedgerStore, record: MakeRecord, place: Place
) -> None:
    await store.append(record(store))
    with place.refusing(), pytest.raises(StoreError):
        await store.restate("kalshi", "archived markets were missing", NOON)
    assert store.restatements == ()


@pytest.mark.parametrize("resolution", RESOLUTIONS)
async def test_an_interval_with_restated_snapshots_that_do_not_count_is_not_marked(
    store: LedgerStore, record: MakeRecord, resolution: Resolution
) -> None:
    """While the history was imported no snapshot was complete: the figures are those of the complete ones after."""
    await store.append(record(store, marks=Marks(complete=False, not_live=("johns", "kalshi"))))
    await store.restate("kalshi", "archived markets were missing", NOON)
    await store.append(record(store, net_cents=700, marks=Marks(not_live=("anthropic",), estimated=True)))
    await store.append(record(store, net_cents=900))
    (row,) = await store.history(0, NOON + DAY_MS, resolution)
    assert row.restated is UNSET
    assert (row.open, row.low, row.high, row.close, row.count) == (7, 7, 9, 9, 3)
    assert (row.degraded, row.estimated, row.complete) == (["anthropic", "johns", "kalshi"], True, True)


async def test_the_first_complete_snapshot_from_an_instant(store: LedgerStore) -> None:
    for seq, degraded in ((1, []), (2, ["kalshi"]), (3, ["johns"]), (4, [])):
        marks = Marks(whole=tuple(sorted(EVERY.difference(degraded))))
        await store.append(Record(store.epoch, seq, NOON + seq, 1, 1, 0, 0, b"{}", b"{}", marks))
    for start, configured, expected in (
        (0, EVERY, 1),
        (NOON + 1, EVERY, 1),
        (NOON + 2, EVERY, 4),
        (NOON + 2, frozenset({"kalshi"}), 3),
        (NOON + 2, frozenset[str](), 2),
    ):
        found = await store.first_complete(start, configured)
        assert found is not None
        assert found.seq == expected
    assert await store.first_complete(NOON + 5, EVERY) is None


async def test_since_gives_exactly_what_was_missed_or_nothing(store: LedgerStore, record: MakeRecord) -> None:
    await fill(store, record, 6)
    missed = await store.since(store.epoch, 4)
    assert missed is not None
    assert [one.seq for one in missed] == [5, 6]
    assert await store.since(store.epoch, 6) == []
    assert await store.since("another", 4) is None
    assert await store.since(store.epoch, 7) is None
    assert await store.since(store.epoch, -1) is None
    assert [one.seq for one in await store.since(store.epoch, 2, limit=3) or []] == [3, 4, 5]
    assert [one.seq for one in await store.since(store.epoch, 3, limit=3) or []] == [4, 5, 6]


async def test_holds_is_true_where_nothing_is_missing(store: LedgerStore, record: MakeRecord) -> None:
    await fill(store, record, 6)
    assert await store.holds(store.epoch, 0, 6)
    assert await store.holds(store.epoch, 6, 6)
    assert await store.holds(store.epoch, 2, 4)
    assert not await store.holds(store.epoch, 0, 7)
    assert not await store.holds(store.epoch, -1, 6)
    assert not await store.holds(store.epoch, 5, 4)
    assert not await store.holds("another", 0, 6)


@pytest.mark.parametrize("seq", [1, 2, 4, 0, -1])
async def test_a_number_that_does_not_follow_is_refused(store: LedgerStore, record: MakeRecord, seq: int) -> None:
    await fill(store, record, 2)
    with pytest.raises(StoreError, match="does not follow"):
        await store.append(record(store, seq))
    assert store.last_seq == 2
    assert store.health()["state"] == "connected"


async def test_another_epochs_snapshot_is_refused(store: LedgerStore, record: MakeRecord) -> None:
    with pytest.raises(StoreError, match="does not follow"):
        await store.append(record(store, epoch="another"))


async def test_epoch_and_number_go_on_after_a_restart(open_store: OpenStore, record: MakeRecord) -> None:
    first = await open_store(clock=lambda: NOON / 1000)
    await fill(first, record, 3)
    newest = await first.latest()
    await first.close()
    second = await open_store(clock=lambda: NOON / 1000 + 10 * 86_400)
    assert (second.epoch, second.last_seq) == (first.epoch, 3)
    assert second.first_run == first.first_run == date(2026, 2, 25)
    assert await second.latest() == newest
    await fill(second, record, 1)
    assert second.last_seq == 4


async def test_markets_that_are_not_listed_any_more_are_stored(open_store: OpenStore, record: MakeRecord) -> None:
    store = await open_store()
    await store.append(record(store), positions=[position("A", "10.123456", "1.5"), position("B", "-4", "0.25")])
    assert store.markets.closed_except([("A", 0), ("B", 0)]) == ClosedMarkets()
    assert store.markets.closed_except([("B", 0)]) == ClosedMarkets(Decimal("10.123456"), Decimal("1.5"), 1)
    await store.append(record(store), positions=[position("B", "-5", "0.5"), position("C", "0")])
    await store.close()
    again = await open_store()
    assert again.markets.closed_except(()) == ClosedMarkets(Decimal("5.123456"), Decimal("2.0"), 2)
    assert again.markets.closed_except({("A", 0): 1}) == ClosedMarkets(Decimal(-5), Decimal("0.5"), 1)


async def test_only_changed_totals_are_written(store: LedgerStore, record: MakeRecord, place: Place) -> None:
    await store.append(record(store), positions=[position("A", "1"), position("B", "2")])
    await store.append(record(store), positions=[position("A", "1.00"), position("B", "3")])
    changed = dict(place.ask("SELECT ticker, changed_at FROM positions"))
    assert changed == {"A": NOON + 5000, "B": NOON + 10_000}


async def test_closed_days_are_stored_with_and_without_cost(open_store: OpenStore) -> None:
    store = await open_store()
    first, second, third = (date(2026, 2, day) for day in (1, 2, 3))
    costs = [
        CostRow(first, "claude", None, Decimal("1.2345678901"), "key"),
        CostRow(third, None, "ws", Decimal(2)),
    ]
    await store.save(first, third, costs)
    await store.close()
    again = await open_store()
    held = await again.load()
    assert held.days == {first, second, third}
    assert list(held.rows) == costs
    await again.save(third, third, [CostRow(third, "claude", "ws", Decimal(3))])
    held = await again.load()
    assert held.days == {first, second, third}
    assert [row.amount for row in held.rows] == [Decimal("1.2345678901"), Decimal(3)]


async def test_a_cost_outside_the_closed_days_is_refused(store: LedgerStore) -> None:
    with pytest.raises(StoreError, match="2026-03-01"):
        await store.save(date(2026, 2, 1), date(2026, 2, 2), [CostRow(date(2026, 3, 1), None, None, Decimal(1))])
    assert (await store.load()).days == frozenset()


async def test_readers_get_whole_snapshots_while_the_writer_appends(store: LedgerStore, record: MakeRecord) -> None:
    done = asyncio.Event()

    async def read() -> int:
        seen = 0
        while not done.is_set():
            held = await store.newest(50)
            numbers = [one.seq for one in held]
            assert numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else True
            assert all(one.data == b'{"seq":%d}' % one.seq for one in held)
            assert not numbers or numbers[-1] >= seen
            seen = numbers[-1] if numbers else 0
        return seen

    readers = [asyncio.create_task(read()) for _ in range(6)]
    await fill(store, record, 450)
    done.set()
    assert all(seen <= 450 for seen in await asyncio.gather(*readers))
    assert len(await store.newest(1000)) == 450


async def test_a_cancelled_append_is_stored_all_the_same(store: LedgerStore, record: MakeRecord) -> None:
    task = asyncio.create_task(store.append(record(store)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.probe()  # behind it in the writer's queue
    assert store.last_seq == 1
    assert [one.seq for one in await store.newest(5)] == [1]


async def test_reads_that_wait_while_the_store_closes_get_an_error(store: LedgerStore, record: MakeRecord) -> None:
    await fill(store, record, 5)
    reads = [asyncio.create_task(store.newest(5)) for _ in range(20)]
    await asyncio.sleep(0)
    await store.close()
    for answer in await asyncio.gather(*reads, return_exceptions=True):
        assert len(answer) == 5 if isinstance(answer, list) else isinstance(answer, StoreError)


async def test_a_closed_ledger_is_neither_read_nor_written(
    store: LedgerStore, record: MakeRecord, place: Place
) -> None:
    await fill(store, record, 3)
    await store.close()
    await store.close()
    assert place.ask("SELECT count(*) FROM snapshots") == [(3,)]
    with pytest.raises(StoreError, match="closed"):
        await store.newest(1)
    with pytest.raises(StoreError, match="closed"):
        await store.probe()
