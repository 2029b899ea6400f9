"""Which subaccounts count, and that each of their markets does."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pnl_backend.simulator import Fault, Simulator
from pnl_backend.sources.base import NoClosedDays
from pnl_backend.sources.kalshi.settings import KalshiSettings
from pnl_backend.sources.kalshi.source import SOURCE
from pnl_backend.sources.source_type import Setup
from tests.sources.kalshi.desk import held, settle


def whole_account(simulator: Simulator) -> tuple[Decimal, Decimal, Decimal]:
    """Balance, realized P&L and fees of all subaccounts."""
    account = simulator.trading.account
    held = [*account.positions.values(), *account.archived.values()]
    balance = sum((account.balance(number) for number in account.subaccounts()), Decimal(0))
    return balance, sum((p.realized_pnl for p in held), Decimal(0)), sum((p.fees_paid for p in held), Decimal(0))


async def test_subaccounts_count_while_the_setting_names_them(desk, simulator):
    simulator.kalshi.move_cash(0, 3, 50_000)
    ticker = held(simulator)[0]
    at = simulator.kalshi.exchange.markets[ticker].last_price
    simulator.kalshi.trade(ticker, "yes", Decimal(20), at, subaccount=3)
    simulator.kalshi.trade(ticker, "no", Decimal(20), at, subaccount=5)
    async with desk(subaccounts=None) as run:
        first = await run.poll()
        assert {position.subaccount for position in first.positions} >= {0, 3, 5}
        await run.imported()
        whole = await run.poll()
        assert (whole.balance, whole.realized_pnl, whole.fees) == whole_account(simulator)
        value = sum(abs(p.quantity) for p in first.positions if p.subaccount in (3, 5))
        assert value == 40, "opposite sides in two subaccounts are two positions"
        settle(simulator, ticker)
        simulator.kalshi.archive([ticker])
        portfolio = await run.poll()
        assert (portfolio.balance, portfolio.realized_pnl, portfolio.fees) == whole_account(simulator)
        assert portfolio.notes == ()
        history = await run.fetcher.history.lists()
        assert {listed.subaccount for listed in history} == set(simulator.trading.account.subaccounts())
    async with desk() as run:
        run.assert_exact(await run.poll())
    async with desk(subaccounts=[0, 3]) as run:
        await run.imported()
        some = await run.poll()
        account = simulator.trading.account
        assert some.balance == account.balance(0) + account.balance(3)
        assert some.importing is None


async def test_where_there_is_no_list_of_subaccounts_the_primary_one_counts(desk, simulator):
    simulator.set_fault("kalshi", Fault.status(404, path="/portfolio/subaccounts"))
    async with desk(subaccounts=None) as run:
        await run.poll()
        await run.imported()
        run.assert_exact(await run.poll())


async def test_the_setting_names_the_subaccounts_of_the_account_s_own_fetcher(simulator, client):
    given = simulator.settings()
    kalshi = {name: given[name] for name in KalshiSettings.model_fields if name in given}
    for text, numbers in (("0", [0]), ("3,0", [0, 3]), ("all", simulator.trading.account.subaccounts())):
        settings = KalshiSettings(**kalshi, kalshi_subaccounts=text)
        fetcher = SOURCE.build(settings, Setup(client, since=date(2026, 1, 1), closed_days=NoClosedDays()))
        portfolio = (await fetcher.fetch()).value
        assert portfolio.balance == sum(simulator.trading.account.balance(number) for number in numbers)
