"""The bookkeeper and the reconciler over real HTTP and a real ledger, against the simulator's true figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from loguru import logger

from pnl_backend.assembly.adapters import TappedSource
from pnl_backend.domain.ledger_facts import Adjustment
from pnl_backend.domain.readings import AnthropicSpend, CostRow, KalshiPortfolio, Reading, Revenue
from pnl_backend.domain.reconciliation import net_deposits
from pnl_backend.domain.times import LAST_NAMED_DAY
from pnl_backend.ledger.bookkeeper import Bookkeeper
from pnl_backend.ledger.reconciler import Reconciler
from pnl_backend.ledger.sqlite import Store
from pnl_backend.simulator import Fault, Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer
from pnl_backend.sources.kalshi.simulator.records import Transfer
from pnl_backend.sources.revenue.fetcher import RevenueFetcher
from tests.waiting import until


class Seconds:
    """A monotonic clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Office:
    """A bookkeeper with everything around it; `look` hands it a fresh reading of the account."""

    def __init__(self, store: Store, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        keys = simulator.credentials()
        client = UpstreamClient(session, timeout=5)
        signer = Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem)
        self.kalshi = KalshiFetcher(client, base_url=simulator.kalshi_url, signer=signer)
        self.revenue = RevenueFetcher(client, url=simulator.revenue_url, token=keys.revenue_token)
        self.store = store
        self.simulator = simulator
        self.monotonic = Seconds()
        self.published: list[float] = []
        self.news: list[tuple[str, list[str]]] = []
        self.calls: list[str | None] = []
        self.as_of = 0
        self.keeper = Bookkeeper(
            account=self.kalshi.history,
            facts=store.facts,
            on_run=lambda _seconds, code: self.calls.append(code),
            monotonic=self.monotonic,
        )
        self.reconciler = Reconciler(
            facts=store.facts,
            latest=self.keeper.latest,
            fetch_soon=self.keeper.fetch_soon,
            publish=self.published.append,
            tolerance=Decimal(1),
            moved=lambda: self.keeper.moved,
            monotonic=self.monotonic,
        )
        self.keeper.watchers += [self.reconciler, self]

    async def on_recorded(self, kind: str, names: list[str]) -> None:
        self.news.append((kind, names))

    async def on_reading(self, account: Any, fetched_at: Any) -> None:
        """Nothing more to know."""

    async def read(self) -> None:
        fetched = await self.kalshi.fetch()
        self.hear("kalshi", fetched.value, fetched.as_of)

    def hear(self, source: Any, value: Any, as_of: int = 1) -> None:
        self.keeper.on_reading(Reading(source, value, as_of, as_of, "live"))

    async def look(self, seconds: float = 5.0) -> None:
        """A fresh reading `seconds` later, and all that is due."""
        self.monotonic.now += seconds
        await self.read()
        await self.keeper.round()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(step_interval=None, kalshi_rate=None) as running:
        yield running


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "pnl.db", origin="live")
    yield opened
    await opened.close()


@pytest.fixture
async def office(store: Store, simulator: Simulator) -> AsyncIterator[Office]:
    async with aiohttp.ClientSession() as session:
        yield Office(store, simulator, session)


@pytest.fixture
def lines() -> Any:
    """What is logged from INFO on, as `LEVEL message`."""
    told: list[str] = []
    sink = logger.add(lambda line: told.append(str(line).strip()), format="{level} {message}", level="INFO")
    yield told
    logger.remove(sink)


def of_subaccount_0(rows: list[Any]) -> list[Any]:
    return [row for row in rows if row.subaccount == 0]


def unsettled(simulator: Simulator) -> Any:
    """A position that may still change."""
    return next(
        held for held in of_subaccount_0(list(simulator.trading.account.positions.values())) if not held.settled
    )


async def test_everything_that_happened_is_in_the_ledger_once(office: Office, simulator: Simulator) -> None:
    account = simulator.trading.account
    await office.look()
    facts = office.store.facts
    first = len(await facts.fills(0, LAST_NAMED_DAY))
    assert first == len(of_subaccount_0(account.fills)) > 0
    assert len(await facts.settlements(0, LAST_NAMED_DAY)) == len(of_subaccount_0(account.settlements))
    transfers = await facts.transfers()
    assert len(transfers) == len(account.transfers)
    assert await facts.fill_fees() == sum(fill.fee for fill in of_subaccount_0(account.fills))
    assert net_deposits(transfers) == simulator.truth().kalshi.net_deposits
    simulator.step(120)
    await office.look(60)
    await office.look(60)
    assert len(await facts.fills(0, LAST_NAMED_DAY)) == len(of_subaccount_0(account.fills)) > first
    assert await facts.fill_fees() == sum(fill.fee for fill in of_subaccount_0(account.fills))
    told = [names for kind, names in office.news if kind == "fill"]
    assert len(told) == 2, "what is known already is no news"


async def test_a_position_that_moved_is_a_fill_to_be_fetched_at_once(office: Office, simulator: Simulator) -> None:
    await office.look()
    before = simulator.requests["kalshi"]["/portfolio/fills"]
    await office.look()
    assert simulator.requests["kalshi"]["/portfolio/fills"] == before, "nothing moved, and a minute is not over"
    known = len(simulator.trading.account.fills)
    while len(simulator.trading.account.fills) == known:
        simulator.step()
    await office.look()
    assert simulator.requests["kalshi"]["/portfolio/fills"] == before + 1
    ((_, (ticker,)),) = [one for one in office.news if one[0] == "fill"][1:]
    assert ticker == simulator.trading.account.fills[-1].ticker


async def test_nothing_is_fetched_while_the_account_s_reading_is_not_live(office: Office, simulator: Simulator) -> None:
    await office.look()
    asked = sum(simulator.requests["kalshi"].values())
    stale = Reading("kalshi", KalshiPortfolio(Decimal(1), ()), 1, 1, "memory", "breaker open")
    office.keeper.on_reading(stale)
    office.monotonic.now += 3600
    await office.keeper.round()
    assert sum(simulator.requests["kalshi"].values()) == asked


async def test_a_failure_is_logged_once_retried_with_backoff_and_its_end_is_logged(
    office: Office, simulator: Simulator, lines: list[str]
) -> None:
    simulator.set_fault("kalshi", Fault.status(500, path="/portfolio/fills"))
    failed = []
    for _ in range(40):
        await office.look(60)
        failed.append(simulator.requests["kalshi"]["/portfolio/fills"])
    assert failed[-1] < 12, "the pause grows"
    said = [line for line in lines if "Fills and settlements" in line]
    assert len(said) == 1
    assert said[0].startswith("WARNING Fills and settlements could not be recorded")
    assert await office.store.facts.transfers(), "the rest goes on"
    simulator.clear_faults()
    await office.look(2000)
    (_, recovered) = [line for line in lines if "Fills and settlements" in line]
    assert recovered.startswith("INFO Fills and settlements are recorded again after")
    assert {code for code in office.calls if code} == {"upstream_error"}


async def test_deals_and_costs_come_from_the_readings(office: Office, simulator: Simulator) -> None:
    told = (await office.revenue.fetch()).value
    office.hear("johns", told, 5)
    await office.keeper.round()
    assert {deal.id for deal in await office.store.facts.deals()} == {deal.id for deal in simulator.deals.deals}
    simulator.set_deal("d-new", amount=Decimal(700), status="recognized")
    office.hear("johns", (await office.revenue.fetch()).value, 6)
    await office.keeper.round()
    assert office.news[-1] == ("deal", ["d-new"])
    day = simulator.truth().anthropic.today
    row = CostRow(day, "claude", None, Decimal(3))
    for amount in (3, 3, 4):
        office.hear("anthropic", AnthropicSpend(day, day, (replace(row, amount=Decimal(amount)),)))
        await office.keeper.round()
    assert [kind for kind, _ in office.news].count("cost") == 2
    assert await office.store.facts.costs(day, day) == [replace(row, amount=Decimal(4))]


async def test_a_tapped_source_returns_the_reading_unchanged() -> None:
    reading: Reading[Revenue] = Reading("johns", Revenue(Decimal(1), Decimal(1)), 1, 1, "live")
    heard = []

    class Source:
        async def read(self, patience: float | None = None) -> Any:
            return reading

    assert await TappedSource(Source(), heard.append).read(0.5) is reading
    assert heard == [reading]


async def test_the_task_handles_what_it_is_given_and_ends_when_stopped(office: Office, simulator: Simulator) -> None:
    office.keeper.start()
    await office.read()
    await until(lambda: len(office.published) == 1)
    await office.read()
    await until(lambda: len(office.published) == 2)
    await office.keeper.stop()
    await office.read()
    await asyncio.sleep(0)
    assert len(office.published) == 2


async def test_the_account_reconciles_as_the_truth_does(office: Office, simulator: Simulator) -> None:
    assert office.reconciler.state == "unknown"
    for _ in range(5):
        await office.look(60)
        truth = simulator.truth().kalshi
        assert Decimal(repr(office.published[-1])) == round(truth.reconciliation, 6)
        simulator.step(200)
    assert office.reconciler.state == "reconciled"
    assert office.reconciler.problem() is None
    assert abs(office.reconciler.report().gap) < 1


async def test_it_is_unknown_until_the_transfers_have_been_read(office: Office, simulator: Simulator) -> None:
    simulator.set_fault("kalshi", Fault.status(503, path="/portfolio/deposits"))
    await office.look()
    assert office.reconciler.state == "unknown"
    assert office.reconciler.report().gap is None
    assert office.published == []
    simulator.clear_faults()
    await office.look(200)
    assert office.reconciler.state == "reconciled"


def deposit(simulator: Simulator, cents: int) -> None:
    account = simulator.trading.account
    account.transfers.append(Transfer(account.next_seq(), f"dep-{cents}", "deposit", cents, 0, "applied", 1.0, 2.0))


async def test_a_deposit_is_explained_before_it_is_called_a_gap(
    office: Office, simulator: Simulator, lines: list[str]
) -> None:
    await office.look()
    deposit(simulator, 50_000)
    await office.look()
    assert office.published[-1] == pytest.approx(500, abs=0.01), "the figure is published as it is"
    assert office.reconciler.state == "reconciled"
    await office.look()
    assert office.published[-1] == pytest.approx(0, abs=0.01)
    assert not [line for line in lines if "reconcile" in line]


async def test_a_deposit_counts_from_applied_to_returned_and_its_states_are_kept(
    office: Office, simulator: Simulator, lines: list[str]
) -> None:
    facts = office.store.facts
    await office.look()
    before = net_deposits(await facts.transfers())
    for status, counted in (("pending", 0), ("applied", 500), ("returned", 0)):
        simulator.kalshi.put_transfer("deposit", "d-9", 50_000, fee_cents=200, status=status)  # type: ignore[arg-type]
        await office.look(60)
        assert net_deposits(await facts.transfers()) == before + counted
        assert office.published[-1] == pytest.approx(0, abs=0.01)
    assert [state.status for state in await facts.transfer_states("deposit:d-9")] == ["pending", "applied"]
    (correction,) = await facts.corrections()
    assert (correction.kind, correction.ref) == ("transfer", "deposit:d-9")
    assert (correction.before, correction.after) == (Decimal(500), Decimal(0))
    assert office.news[-1] == ("transfer", ["deposit:d-9"])
    assert not [line for line in lines if "reconcile" in line]


async def test_cash_that_goes_to_another_subaccount_is_no_gap_and_no_withdrawal(
    office: Office, simulator: Simulator
) -> None:
    await office.look()
    deposited = net_deposits(await office.store.facts.transfers())
    simulator.kalshi.move_cash(0, 4, 12_300)
    simulator.kalshi.move_cash(4, 5, 300)
    simulator.kalshi.move_cash(4, 0, 1_000)
    for _ in range(3):
        await office.look(60)
    assert office.published[-1] == pytest.approx(0, abs=0.01)
    assert office.reconciler.state == "reconciled"
    assert net_deposits(await office.store.facts.transfers()) == deposited


async def test_a_withdrawal_that_fails_counts_nothing(office: Office, simulator: Simulator) -> None:
    await office.look()
    before = net_deposits(await office.store.facts.transfers())
    for status in ("pending", "failed"):
        simulator.kalshi.put_transfer("withdrawal", "w-9", 700, fee_cents=20, status=status)  # type: ignore[arg-type]
        await office.look(60)
        assert net_deposits(await office.store.facts.transfers()) == before
    assert await office.store.facts.corrections() == [], "no money had moved"


async def test_an_adjustment_explains_cash_that_no_list_shows(office: Office, simulator: Simulator) -> None:
    await office.look()
    simulator.kalshi.adjust(Decimal("12.34"))
    for _ in range(3):
        await office.look()
    assert office.reconciler.state == "gap"
    realized = simulator.truth().kalshi.realized_pnl
    booked = Adjustment("kalshi", Decimal("12.34"), "interest", "October", at=1, noted_at=2)
    assert await office.store.facts.adjustments.add(booked) == 1
    await office.look()
    assert office.reconciler.state == "reconciled"
    assert office.published[-1] == pytest.approx(0, abs=0.01)
    assert simulator.truth().kalshi.realized_pnl == realized, "an adjustment is no profit of trading"
    later = Adjustment("kalshi", Decimal(5), "bonus", "dated tomorrow", at=2**50, noted_at=2)
    await office.store.facts.adjustments.add(later)
    await office.look()
    assert office.published[-1] == pytest.approx(0, abs=0.01), "it counts from its time on"


async def test_the_tolerance_of_the_reconciliation_is_a_setting(office: Office, simulator: Simulator) -> None:
    office.reconciler._tolerance = Decimal("0.50")
    await office.look()
    for amount, state in (("0.50", "reconciled"), ("0.01", "gap")):
        simulator.kalshi.adjust(Decimal(amount))
        for _ in range(3):
            await office.look()
        assert office.reconciler.state == state


async def test_a_gap_is_reported_once_and_its_end_once(office: Office, simulator: Simulator, lines: list[str]) -> None:
    await office.look()
    held = unsettled(simulator)
    simulator.trading.account.aged_realized += Decimal("7.50")  # in the cash, and in no list
    for _ in range(5):
        await office.look()
    assert office.reconciler.state == "gap"
    assert office.reconciler.report().gap == pytest.approx(7.5, abs=0.01)
    assert "USD off" in (office.reconciler.problem() or "")
    held.realized_pnl += Decimal("7.50")
    simulator.trading.account.aged_realized -= Decimal("7.50")
    await office.look()
    await office.look()
    assert office.reconciler.state == "reconciled"
    said = [line.partition(":")[0] for line in lines if "reconcile" in line]
    assert said == ["WARNING The account does not reconcile", "INFO The account reconciles again"]


async def test_the_ledger_is_compared_with_its_sources_once_an_hour(
    office: Office, simulator: Simulator, lines: list[str]
) -> None:
    office.hear("johns", (await office.revenue.fetch()).value, 5)
    day = simulator.truth().anthropic.today
    office.hear("anthropic", AnthropicSpend(day, day, (CostRow(day, "claude", None, Decimal(3)),)))
    await office.look()
    assert office.reconciler.report().differences == {"fees": 0.0, "costs": 0.0, "collected": 0.0}
    collected = [deal for deal in await office.store.facts.deals() if deal.status == "recognized"]
    await office.store.facts.add_deals([replace(collected[0], status="pending")], 6)  # what John did not say
    await office.look(1800)
    assert office.reconciler.problem() is None, "not compared yet"
    await office.look(1801)
    await office.look(3601)
    problem = office.reconciler.problem()
    assert problem is not None
    assert problem.startswith("collected ")
    assert len([line for line in lines if "The ledger differs from its source" in line]) == 1


async def test_fills_that_were_archived_before_are_reported_and_are_no_problem(
    office: Office, simulator: Simulator, lines: list[str]
) -> None:
    held = unsettled(simulator)
    held.fees_paid += 30  # of fills that no list has any more
    for _ in range(3):
        await office.look(3601)
    assert office.reconciler.report().differences["fees"] == -30
    assert office.reconciler.problem() is None
    assert len([line for line in lines if "had been archived before this ledger began" in line]) == 1
    held.fees_paid += 5
    await office.look(3601)
    assert office.reconciler.problem() is None, "a difference counts when it is seen twice"
    await office.look(6)
    assert "(-35.00 USD)" in (office.reconciler.problem() or "")
