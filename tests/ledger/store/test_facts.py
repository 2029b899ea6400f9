"""Facts: each once, whatever is fetched how often and in which order; exact, and never lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from threading import get_ident
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnl_backend.domain.ledger_facts import Fill, Settlement, Transfer
from pnl_backend.domain.readings import CostRow, Deal
from pnl_backend.ledger.sql import remembered
from pnl_backend.ledger.sql.store import LedgerStore
from tests.ledger.sqlite.ledger import NOON, MakeRecord, OpenStore
from tests.ledger.store.places import Place, Places

END = 2 * NOON
money = st.decimals(min_value=0, max_value=10**7, places=6)
small = st.integers(0, 10**6)

fills = st.builds(
    Fill,
    fill_id=st.uuids().map(str),
    order_id=st.uuids().map(str),
    ticker=st.sampled_from(["A", "B", "C"]),
    side=st.sampled_from(["yes", "no"]),
    count=money,
    yes_price=money,
    fee=money,
    is_taker=st.booleans(),
    at=small,
)
settlements = st.builds(
    Settlement,
    ticker=st.uuids().map(str),
    result=st.sampled_from(["yes", "no", "scalar"]),
    yes_count=money,
    yes_cost=money,
    no_count=money,
    no_cost=money,
    revenue=money,
    value=st.none() | money,
    fee=money,
    at=small,
)
transfers = st.builds(
    Transfer,
    kind=st.sampled_from(["deposit", "withdrawal"]),
    id=st.uuids().map(str),
    amount=money,
    fee=money,
    status=st.sampled_from(["applied", "failed"]),
    created_at=small,
    finalized_at=small,
)
lists = st.lists(fills, max_size=12), st.lists(settlements, max_size=12), st.lists(transfers, max_size=12)


@settings(max_examples=25, deadline=None)
@given(*lists, st.randoms(use_true_random=False))
def test_pages_in_any_order_and_number_give_the_same_ledger(
    places: Places, fills: list[Fill], settlements: list[Settlement], transfers: list[Transfer], rng: random.Random
) -> None:
    async def run(place: Place) -> None:
        store = await place.open()
        new = [len(await store.facts.add_fills(page)) for page in pages(fills, rng)]
        assert sum(new) == len(fills)
        for paid in pages(settlements, rng):
            await store.facts.add_settlements(paid)
        for moved in pages([*transfers, *map(under_way, transfers)], rng):
            await store.facts.add_transfers(moved, 1)
        assert await store.facts.fills(0, END) == sorted(fills, key=lambda f: (f.at, f.fill_id))
        assert await store.facts.settlements(0, END) == sorted(settlements, key=lambda s: (s.at, s.key))
        assert await store.facts.transfers() == sorted(transfers, key=lambda t: (t.created_at, t.key))
        assert await store.facts.fill_fees() == sum(fill.fee for fill in fills)
        await store.close()

    place = places.new()
    asyncio.run(run(place))
    places.remove(place)


def under_way(transfer: Transfer) -> Transfer:
    return replace(transfer, status="pending", finalized_at=None)


Fact = TypeVar("Fact")


def pages(facts: Sequence[Fact], rng: random.Random) -> list[list[Fact]]:
    """The facts once or more, cut into pages, shuffled."""
    told = [*facts, *rng.choices(facts, k=len(facts))] if facts else []
    rng.shuffle(told)
    cuts = sorted(rng.randrange(len(told) + 1) for _ in range(3))
    return [told[a:b] for a, b in zip([0, *cuts], [*cuts, len(told)], strict=True)]


FILL = Fill("f", "o", "A", "yes", Decimal("2.50"), Decimal("0.41"), Decimal("0.0700"), is_taker=True, at=NOON)


async def test_facts_are_unchanged_after_a_restart_to_the_last_digit(open_store: OpenStore) -> None:
    store = await open_store()
    odd = replace(FILL, fill_id="odd", count=Decimal("0.01"), yes_price=Decimal("0.123456"), fee=Decimal("1E+2"))
    assert await store.facts.add_fills([FILL, odd, FILL]) == [FILL, odd]
    await store.close()
    store = await open_store()
    assert await store.facts.fills(0, END) == [FILL, odd]
    assert await store.facts.add_fills([odd]) == []


async def test_fills_of_a_market_and_a_time(store: LedgerStore) -> None:
    given = [replace(FILL, fill_id=str(n), ticker="AB"[n % 2], at=NOON + n) for n in range(10)]
    await store.facts.add_fills(given)
    assert await store.facts.fills(NOON + 2, NOON + 4) == given[2:5]
    assert await store.facts.fills(0, END, ticker="B") == given[1::2]
    assert await store.facts.fills(0, END, limit=3) == given[-3:]


async def test_a_deal_is_stored_whenever_it_changes(store: LedgerStore) -> None:
    acme = Deal("d-1", "Acme", Decimal("1200.00"), "pending")
    other = Deal("d-2", "Other", Decimal(5), "pipeline")
    closed = replace(acme, status="recognized", closed_at=NOON)
    assert await store.facts.add_deals([acme, other], NOON) == [acme, other]
    assert await store.facts.add_deals([acme, other], NOON + 1) == []
    assert await store.facts.add_deals([closed], NOON + 2) == [closed]
    assert await store.facts.deals() == [closed, other]
    assert await store.facts.add_deals([acme], NOON + 3) == [acme]
    assert await store.facts.deals() == [acme, other]
    assert await store.facts.add_deals([], NOON + 4) == []


async def test_open_days_cost_what_they_cost_so_far_and_closed_days_stay(store: LedgerStore) -> None:
    yesterday, today = date(2026, 2, 24), date(2026, 2, 25)
    final = CostRow(yesterday, "claude", None, Decimal(7))
    so_far = CostRow(today, "claude", "ws", Decimal(1))
    assert await store.facts.add_costs([replace(final, amount=Decimal(6)), so_far]) != []
    await store.save(yesterday, yesterday, [final])
    more = replace(so_far, amount=Decimal(2))
    assert await store.facts.add_costs([replace(final, amount=Decimal(9)), more]) == [more]
    assert await store.facts.add_costs([final, more]) == []
    held = await store.load()
    assert (held.days, held.rows) == (frozenset({yesterday}), (final,))
    assert await store.facts.costs(yesterday, today) == [final, more]
    await store.save(today, today, [more])
    assert (await store.load()).rows == (final, more)


async def test_a_year_of_costs_is_read_outside_the_loop(store: LedgerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    readers: set[int] = set()
    read = remembered.cost_rows

    def spied(rows: Iterable[Sequence[Any]]) -> tuple[CostRow, ...]:
        readers.add(get_ident())
        return read(rows)

    day = date(2026, 2, 24)
    await store.save(day, day, [CostRow(day, "claude", None, Decimal(7))])
    monkeypatch.setattr(remembered, "cost_rows", spied)
    assert (await store.load()).rows == tuple(await store.facts.costs(day, day))
    assert readers
    assert get_ident() not in readers


async def test_the_view_of_deltas_follows_from_the_snapshots(
    store: LedgerStore, record: MakeRecord, place: Place
) -> None:
    for net, costs in ((100, 5), (100, 5), (90, 5), (90, 6)):
        fixed = {"net_cents": net, "kalshi_cents": 1, "costs_cents": costs, "revenue_cents": 2}
        await store.append(record(store, **fixed))
    held = place.ask("SELECT seq, prev_seq, net, kalshi, costs, revenue FROM deltas ORDER BY seq")
    assert held == [(3, 2, -10, 0, 0, 0), (4, 3, 0, 0, 1, 0)]
