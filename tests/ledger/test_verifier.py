"""The verification over real HTTP and a real ledger: true where the account is right, false once any row is wrong."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loguru import logger

from pnl_backend.domain.readings import Reading
from pnl_backend.domain.snapshot import Verified
from pnl_backend.ledger import inquiries, trade_import
from pnl_backend.ledger.bookkeeper import Bookkeeper
from pnl_backend.ledger.reconciler import Reconciler
from pnl_backend.ledger.sqlite import Store
from pnl_backend.ledger.verifier import Verifier
from pnl_backend.simulator import Book, Fault, Simulator
from pnl_backend.sources.base import UpstreamClient
from pnl_backend.sources.kalshi.fetcher import KalshiFetcher
from pnl_backend.sources.kalshi.signing import Signer


class Run:
    """One run of the books of a simulated account; `look` gives them a fresh reading and lets them do what is due."""

    def __init__(
        self, store: Store, simulator: Simulator, session: aiohttp.ClientSession, subaccounts: Sequence[int] | None
    ) -> None:
        keys = simulator.credentials()
        self.fetcher = KalshiFetcher(
            UpstreamClient(session, timeout=10),
            base_url=simulator.kalshi_url,
            signer=Signer.from_pem(keys.kalshi_key_id, keys.kalshi_private_key_pem),
            markets=store.markets,
            subaccounts=subaccounts,
        )
        self.now = 1000.0
        self.store = store
        self.keeper = Bookkeeper(account=self.fetcher.history, facts=store.facts, monotonic=lambda: self.now)
        reconciler = Reconciler(
            facts=store.facts,
            latest=self.keeper.latest,
            fetch_soon=self.keeper.fetch_soon,
            publish=lambda _gap: None,
            tolerance=Decimal(1),
        )
        trades = self.keeper.trades
        assert trades is not None
        self.trades = trades
        self.verifier = Verifier(
            trades=store.facts.trades,
            is_imported=lambda: trades.complete,
            equity=reconciler.equity,
            fetch_soon=self.keeper.fetch_soon,
            upstream=self.fetcher.history,
            monotonic=lambda: self.now,
            in_scope=lambda: trades.subaccounts,
        )
        self.keeper.watchers += [reconciler, self.verifier]

    async def look(self, times: int = 1, *, imports: bool = True) -> Verified:
        """Without `imports` nothing is read again that would put a row right which a test has changed."""
        if not imports:
            self.verifier._inquiries = None
        for _ in range(times):
            self.now += 61.0
            if imports:
                await self.fetcher.importer.read_due()
            fetched = await self.fetcher.fetch()
            self.keeper.on_reading(Reading("kalshi", fetched.value, fetched.as_of, fetched.as_of, "live"))
            await self.keeper.round()
        return self.verifier.verified


@pytest.fixture
def open_run(tmp_path: Path) -> Any:
    """Opens a run on a ledger of the given name, for as long as the block lasts."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def opened(
        simulator: Simulator, path: Path = tmp_path / "pnl.db", subaccounts: Sequence[int] | None = (0,)
    ) -> AsyncIterator[Run]:
        store = await Store.open(path, origin="live")
        try:
            async with aiohttp.ClientSession() as session:
                yield Run(store, simulator, session, subaccounts)
        finally:
            await store.close()

    return opened


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(step_interval=None, kalshi_rate=None) as running:
        running.step(1500)
        yield running


@pytest.fixture
def lines() -> Any:
    logged: list[str] = []
    sink = logger.add(lambda line: logged.append(str(line).strip()), format="{level} {message}", level="INFO")
    yield logged
    logger.remove(sink)


RIGHT = Verified(realized=True, equity=True, gap=Decimal(0))


def right(found: Verified) -> bool:
    return (found.realized, found.equity) == (True, True) and found.gap <= Decimal("0.01")


async def test_an_account_is_verified_and_stays_so_while_it_trades(open_run: Any, simulator: Simulator) -> None:
    async with open_run(simulator) as run:
        for _ in range(6):
            assert right(await run.look(2)), run.verifier.problem()
            simulator.step(150)
        simulator.kalshi.put_transfer("deposit", "d-9", 50_000)
        assert right(await run.look(2))
    async with open_run(simulator) as run:
        assert right(await run.look(1)), "after a restart too"


async def test_nothing_is_verified_before_the_history_is_imported(open_run: Any, simulator: Simulator) -> None:
    simulator.set_fault("kalshi", Fault.status(500, path="/historical/fills"))
    async with open_run(simulator) as run:
        found = await run.look(3)
        assert (found.realized, run.verifier.state) == (None, "unknown")
        simulator.clear_faults()
        run.now += 10_000
        assert right(await run.look(2))


BREAKS = {
    "a fill's price": "UPDATE fills SET yes_price = yes_price + 0.02 WHERE fill_id = (SELECT max(fill_id) FROM fills)",
    "a fill's count": "UPDATE fills SET count = count + 1 WHERE fill_id = (SELECT max(fill_id) FROM fills)",
    "a fill's side": "UPDATE fills SET side = iif(side = 'yes', 'no', 'yes') "
    "WHERE fill_id = (SELECT max(fill_id) FROM fills)",
    "a fill's fee": "UPDATE fills SET fee = fee + 0.02 WHERE fill_id = (SELECT max(fill_id) FROM fills)",
    "a settlement's revenue": "UPDATE settlements SET revenue = revenue + 0.02 "
    "WHERE key = (SELECT max(key) FROM settlements)",
    "a settled market's realized": "UPDATE positions SET realized = realized + 0.02 WHERE ticker = "
    "(SELECT max(ticker) FROM settlements)",
}


@pytest.mark.parametrize("what", BREAKS)
async def test_a_row_that_is_wrong_in_the_ledger_is_found(
    open_run: Any, simulator: Simulator, tmp_path: Path, lines: list[str], what: str
) -> None:
    async with open_run(simulator) as run:
        assert right(await run.look(2))
    with sqlite3.connect(tmp_path / "pnl.db") as connection:
        assert connection.execute(BREAKS[what]).rowcount == 1
    connection.close()
    async with open_run(simulator) as run:
        found = await run.look(3, imports=False)
        assert found.realized is False, what
        assert found.gap >= Decimal("0.01")
        problem = run.verifier.problem() or ""
        assert "fills and settlements do not give the reported figures of KX" in problem
    assert len([line for line in lines if line.startswith("WARNING The account is not verified: fills")]) == 1


async def test_a_position_that_is_reported_wrong_is_found_and_its_end_too(
    open_run: Any, simulator: Simulator, lines: list[str]
) -> None:
    async with open_run(simulator) as run:
        assert right(await run.look(2))
        held = next(p for p in simulator.trading.account.positions.values() if p.quantity and p.subaccount == 0)
        held.realized_pnl += Decimal("7.50")
        found = await run.look()
        assert found.realized is True, "it may be a market that has just moved"
        found = await run.look(2)
        assert found.realized is False
        assert found.gap == Decimal("7.50")
        assert held.ticker in (run.verifier.problem() or "")
        held.realized_pnl -= Decimal("7.50")
        assert right(await run.look(2))
    assert lines[-1] == "INFO Fills and settlements give the reported figures of all markets again"


async def test_a_deposit_that_is_wrong_is_found_by_the_equity(
    open_run: Any, simulator: Simulator, tmp_path: Path
) -> None:
    async with open_run(simulator) as run:
        assert right(await run.look(2))
    with sqlite3.connect(tmp_path / "pnl.db") as connection:
        connection.execute("INSERT INTO transfers VALUES ('deposit:x', 'deposit', 'x', '55', '0', 'applied', 1, 2)")
    connection.close()
    async with open_run(simulator) as run:
        found = await run.look(3)
        assert (found.realized, found.equity) == (True, False)
        assert abs(found.gap - 55) <= Decimal("0.01")


async def test_fills_that_the_upstream_no_longer_has_leave_it_open(
    open_run: Any, simulator: Simulator, lines: list[str]
) -> None:
    account = simulator.trading.account
    del account.fills[: len(account.fills) // 2]
    async with open_run(simulator) as run:
        found = await run.look(3)
        assert found.realized is None
        assert run.verifier.problem() is None
    assert [line for line in lines if "Realized P&L cannot be verified: fills are missing of KX" in line]


async def test_markets_whose_settlement_was_archived_are_verified_by_their_outcome(
    open_run: Any, simulator: Simulator, lines: list[str]
) -> None:
    scalar = next(p.ticker for p in simulator.trading.account.positions.values() if p.quantity and not p.subaccount)
    simulator.kalshi.determine(scalar, "scalar", Decimal("0.37"))
    simulator.kalshi.settle(scalar)
    assert simulator.kalshi.archive()
    async with open_run(simulator) as run:
        simulator.set_fault("kalshi", Fault.status(500, path="/historical/markets"))
        found = await run.look(4)
        assert (found.realized, run.verifier.problem()) == (None, None)
        assert [line for line in lines if "Settled markets that differ could not be read again" in line]
        simulator.clear_faults()
        assert right(await run.look(4)), run.verifier.problem()
        asked = simulator.requests["kalshi"]["/historical/markets"]
    async with open_run(simulator) as run:
        assert right(await run.look(2)), "known after a restart"
        assert simulator.requests["kalshi"]["/historical/markets"] == asked


async def test_outcomes_are_asked_for_in_batches_and_each_is_kept(
    open_run: Any, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquiries, "OUTCOMES_AT_ONCE", 2)
    held = [p.ticker for p in simulator.trading.account.positions.values() if p.quantity and not p.subaccount]
    active = [one for one in held if simulator.kalshi.exchange.markets[one].status == "active"][:5]
    for ticker in active:
        simulator.kalshi.determine(ticker, "yes")
        simulator.kalshi.settle(ticker)
    assert simulator.kalshi.archive()
    async with open_run(simulator) as run:
        await run.look(3)
        known = len(await run.store.facts.trades.outcomes())
        assert 0 < known < len(active)
        simulator.set_fault("kalshi", Fault.status(429, path="/historical/markets", times=1))
        await run.look()
        assert len(await run.store.facts.trades.outcomes()) == known, "one batch failed, the one before is kept"
        found = run.verifier.verified
        for _ in range(20):
            found = await run.look()
            if found.realized:
                break
        assert right(found), run.verifier.problem()
        assert len(await run.store.facts.trades.outcomes()) >= len(active)


async def test_an_outcome_that_is_corrected_is_a_correction_and_no_difference(
    open_run: Any, simulator: Simulator
) -> None:
    ticker = next(p.ticker for p in simulator.trading.account.positions.values() if p.quantity and not p.subaccount)
    simulator.kalshi.determine(ticker, "yes")
    simulator.kalshi.settle(ticker)
    async with open_run(simulator) as run:
        assert right(await run.look(2))
        (before,) = [one for one in await run.store.facts.trades.settlements_of([ticker]) if one.ticker == ticker]
        simulator.kalshi.revise(ticker, "no")
        run.fetcher.importer.request()
        for _ in range(8):
            await run.look()
            run.now += 61
        assert right(run.verifier.verified), run.verifier.problem()
        (after,) = await run.store.facts.trades.settlements_of([ticker])
        assert after.result == "no"
        (noted,) = await run.store.facts.corrections()
        assert (noted.kind, noted.ref) == ("settlement", before.key)
        assert (noted.before, noted.after) == (before.revenue, after.revenue)


async def test_the_outcome_of_an_archived_market_that_is_corrected_is_a_correction_and_no_difference(
    open_run: Any, simulator: Simulator
) -> None:
    ticker = next(p.ticker for p in simulator.trading.account.positions.values() if p.quantity and not p.subaccount)
    simulator.kalshi.determine(ticker, "yes")
    simulator.kalshi.settle(ticker)
    assert simulator.kalshi.archive()
    async with open_run(simulator) as run:
        assert right(await run.look(4)), run.verifier.problem()
        assert (await run.store.facts.trades.outcomes())[ticker] == 1
        simulator.kalshi.revise(ticker, "no")
        run.fetcher.importer.request()
        found = run.verifier.verified
        for _ in range(8):
            found = await run.look()
        assert right(found), run.verifier.problem()
        assert (await run.store.facts.trades.outcomes())[ticker] == 0
        (noted,) = await run.store.facts.corrections()
        assert (noted.kind, noted.ref, noted.before, noted.after) == ("settlement", ticker, 1, 0)


@pytest.mark.parametrize("subaccounts", [(0,), (0, 4), None])
async def test_the_subaccounts_that_count_are_verified_and_no_other(
    open_run: Any, simulator: Simulator, subaccounts: Sequence[int] | None
) -> None:
    ticker = next(m.ticker for m in simulator.trading.markets.values() if m.status == "active")
    for number in (0, 4):
        simulator.kalshi.trade(ticker, "yes", Decimal(3), Decimal("0.40"), subaccount=number)
        simulator.kalshi.trade(ticker, "no", Decimal(5), Decimal("0.55"), subaccount=number)
    async with open_run(simulator, subaccounts=subaccounts) as run:
        assert (await run.look(2)).realized is True, run.verifier.problem()
        simulator.trading.account.position(ticker, 4).realized_pnl += 2
        found = await run.look(3)
        if subaccounts == (0,):
            assert found.realized is True
        else:
            assert found.realized is False
            assert f"{ticker} (subaccount 4) by 2.00 USD" in (run.verifier.problem() or "")


async def test_a_large_account_is_verified(open_run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_import, "PAUSE", 0.0)
    book = Book.large(time.time(), settled=400, still_open=200, fills=6000)
    async with Simulator(book, step_interval=None, kalshi_rate=None) as simulator, open_run(simulator) as run:
        run.now += 1
        found = await run.look(5)
        assert found.realized is True, run.verifier.problem()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 1500), st.sampled_from(sorted(BREAKS)), st.integers(0, 10**6))
def test_random_histories_are_verified_and_any_one_broken_row_is_found(
    tmp_path_factory: pytest.TempPathFactory, open_run: Any, seed: int, steps: int, what: str, pick: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "pnl.db"

    async def scenario() -> None:
        async with Simulator(seed=seed, step_interval=None, kalshi_rate=None) as simulator:
            simulator.step(steps)
            async with open_run(simulator, path) as run:
                assert right(await run.look(2)), run.verifier.problem()
            statement, _, condition = BREAKS[what].rpartition("(SELECT max(")
            column, _, source = condition.partition(") FROM ")
            with sqlite3.connect(path) as connection:
                rows = connection.execute(f"SELECT {column} FROM {source.rstrip(')')} ORDER BY 1").fetchall()
                if not rows:
                    return
                chosen = rows[pick % len(rows)][0]
                connection.execute(f"{statement}?", (chosen,))
            connection.close()
            async with open_run(simulator, path) as run:
                assert (await run.look(3, imports=False)).realized is False, (what, chosen)

    asyncio.run(scenario())
