"""Deals and costs that an upstream takes away are corrections in a real ledger, and no lasting difference."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from loguru import logger

from pnl_backend.domain.corrections import Correction
from pnl_backend.domain.readings import AnthropicSpend, Confirmed, CostRow, Reading, Revenue
from pnl_backend.ledger.bookkeeper import Bookkeeper
from pnl_backend.ledger.reconciler import Reconciler
from pnl_backend.ledger.sqlite import Store
from pnl_backend.simulator import Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.revenue.fetcher import RevenueFetcher

TODAY = date(2026, 2, 25)
DAY = timedelta(days=1)
OPUS = CostRow(TODAY, "claude-opus-5-5", "ws", Decimal(3))
HAIKU = CostRow(TODAY, "claude-haiku-5-5", "ws", Decimal("1.25"))


class Books:
    """A ledger with its bookkeeper and its hourly comparison, without an account."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.at = 0
        self.news: list[tuple[str, list[str]]] = []
        self.keeper = Bookkeeper(account=None, facts=store.facts)
        self.reconciler = Reconciler(
            facts=store.facts,
            latest=self.keeper.latest,
            fetch_soon=self.keeper.fetch_soon,
            publish=lambda _gap: None,
            tolerance=Decimal(1),
            audit_every=0,
        )
        self.keeper.watchers += [self.reconciler, self]

    async def on_recorded(self, kind: str, names: list[str]) -> None:
        self.news.append((kind, names))

    async def on_reading(self, account: Any, fetched_at: Any) -> None:
        """The reconciler compares."""

    async def read(self, source: str, value: Any) -> None:
        self.at += 1000
        self.keeper.on_reading(Reading(source, value, self.at, self.at, "live"))
        await self.keeper.round()

    def differences(self) -> dict[str, float]:
        return dict(self.reconciler.report().differences)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "pnl.db", origin="live", clock=lambda: 50.0)
    yield opened
    await opened.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged, without level and place."""
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="INFO")
    yield said
    logger.remove(sink)


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(step_interval=None) as running:
        yield running


@pytest.fixture
async def revenue(simulator: Simulator) -> AsyncIterator[RevenueFetcher]:
    async with aiohttp.ClientSession() as session:
        client = UpstreamClient(session, timeout=5)
        yield RevenueFetcher(client, url=simulator.revenue_url, token=simulator.credentials().revenue_token)


def spend(*rows: CostRow, **changes: Any) -> AnthropicSpend:
    return AnthropicSpend(**{"since": TODAY - 9 * DAY, "today": TODAY, "rows": rows, **changes})


async def test_a_deal_that_the_list_lacks_has_gone_and_may_come_back(
    books: Books, simulator: Simulator, revenue: RevenueFetcher, lines: list[str]
) -> None:
    simulator.set_deal("d-x", amount=Decimal(700), status="recognized")
    await books.read("johns", (await revenue.fetch()).value)
    simulator.remove_deal("d-x")
    await books.read("johns", (await revenue.fetch()).value)
    assert books.news[-1] == ("deal", ["d-x"])
    assert "d-x" not in {deal.id for deal in await books.store.facts.deals()}
    assert await books.store.facts.corrections() == [Correction("deal", "d-x", Decimal(700), None, 2000)]
    assert books.differences() == {"collected": 0.0}
    await books.read("johns", (await revenue.fetch()).value)
    assert len(await books.store.facts.corrections()) == 1, "it is noted once"
    said = "John's list lacks the deal d-x of 700.00 USD; it is kept as gone"
    assert [line for line in lines if "d-x" in line] == [said]

    simulator.set_deal("d-x", amount=Decimal(700), status="recognized")
    await books.read("johns", (await revenue.fetch()).value)
    assert "d-x" in {deal.id for deal in await books.store.facts.deals()}
    assert books.differences() == {"collected": 0.0}


async def test_an_empty_list_removes_all_deals_and_totals_remove_none(
    books: Books, simulator: Simulator, revenue: RevenueFetcher
) -> None:
    await books.read("johns", (await revenue.fetch()).value)
    known = await books.store.facts.deals()
    await books.read("johns", Revenue(Decimal(5), Decimal(5)))
    assert (await books.store.facts.deals(), await books.store.facts.corrections()) == (known, [])
    simulator.deals.deals.clear()
    await books.read("johns", (await revenue.fetch()).value)
    assert await books.store.facts.deals() == []
    assert len(await books.store.facts.corrections()) == len(known)
    assert books.differences() == {"collected": 0.0}


async def test_a_new_process_detects_what_was_removed_while_it_was_stopped(
    books: Books, store: Store, simulator: Simulator, revenue: RevenueFetcher
) -> None:
    await books.read("johns", (await revenue.fetch()).value)
    gone = simulator.deals.deals[0].id
    simulator.remove_deal(gone)
    again = Books(store)
    again.at = -500_000  # the clock was set back meanwhile
    await again.read("johns", (await revenue.fetch()).value)
    assert [correction.ref for correction in await store.facts.corrections()] == [gone]
    assert gone not in {deal.id for deal in await store.facts.deals()}


@pytest.mark.parametrize("restart", [False, True])
async def test_a_cost_that_disappears_from_an_open_day_is_removed_and_noted(
    books: Books, store: Store, restart: bool
) -> None:
    await books.read("anthropic", spend(OPUS, HAIKU))
    books = Books(store) if restart else books
    await books.read("anthropic", spend(OPUS))
    assert await store.facts.costs(TODAY, TODAY) == [OPUS]
    (noted,) = await store.facts.corrections()
    assert (noted.kind, noted.ref, noted.before, noted.after) == (
        "cost", "2026-02-25/claude-haiku-5-5/ws/-", Decimal("1.25"), None,
    )  # fmt: skip
    assert books.news[-1] == ("cost", ["2026-02-25"])
    assert books.differences() == {"costs": 0.0}
    await books.read("anthropic", spend())
    assert await store.facts.costs(TODAY, TODAY) == []
    assert books.differences() == {"costs": 0.0}


async def test_an_estimate_gives_way_to_the_bill_without_a_correction(books: Books, store: Store) -> None:
    await books.read("anthropic", spend(OPUS, HAIKU, estimated=True))
    await books.read("anthropic", spend(OPUS, estimated=True))
    assert await store.facts.costs(TODAY, TODAY) == [OPUS]
    assert await store.facts.corrections() == []


async def test_days_that_a_reading_does_not_cover_yet_stay_as_they_are(books: Books, store: Store) -> None:
    earlier = CostRow(TODAY - 5 * DAY, "claude-opus-5-5", "ws", Decimal(2))
    await store.facts.add_costs([earlier])
    await books.read("anthropic", spend(OPUS))
    assert await store.facts.costs(TODAY - 9 * DAY, TODAY) == [earlier, OPUS]
    assert await store.facts.corrections() == []


async def test_a_revised_closed_day_is_replaced_and_kept_as_corrections(store: Store) -> None:
    day = TODAY - 3 * DAY
    opus, haiku = (CostRow(day, row.model, "ws", row.amount) for row in (OPUS, HAIKU))
    sonnet = CostRow(day, "claude-sonnet-5-5", "ws", Decimal(4))
    await store.save(day, day, [opus, haiku], Confirmed(1, "analytics/cost"))
    await store.save(day, day, [opus, haiku], Confirmed(2, "analytics/cost"))
    assert await store.facts.corrections() == []
    revised = CostRow(day, opus.model, "ws", Decimal("3.50"))
    await store.save(day, day, [revised, sonnet], Confirmed(3, "analytics/cost"))
    held = await store.load()
    assert (held.rows, held.confirmed) == ((revised, sonnet), {day: Confirmed(3, "analytics/cost")})
    noted = {(one.ref.split("/")[1], one.before, one.after, one.at) for one in await store.facts.corrections()}
    assert noted == {
        ("claude-opus-5-5", Decimal(3), Decimal("3.5"), 50_000),
        ("claude-haiku-5-5", Decimal("1.25"), None, 50_000),
        ("claude-sonnet-5-5", None, Decimal(4), 50_000),
    }


async def test_closing_an_open_day_notes_only_what_is_gone(store: Store) -> None:
    await store.facts.add_costs([OPUS, HAIKU])
    await store.save(TODAY, TODAY, [CostRow(TODAY, OPUS.model, "ws", Decimal(9))])
    (noted,) = await store.facts.corrections()
    assert (noted.ref, noted.before, noted.after) == ("2026-02-25/claude-haiku-5-5/ws/-", Decimal("1.25"), None)
