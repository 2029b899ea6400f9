"""Equity against P&L: the formula, Kalshi's two meanings of a portfolio's value, and markets that have closed."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pnl_backend.domain.ledger_facts import Transfer
from pnl_backend.domain.readings import ClosedMarkets, KalshiPortfolio, Position
from pnl_backend.domain.reconciliation import Difference, net_deposits, reconcile, worth

money = st.decimals(min_value=-(10**6), max_value=10**6, places=4)
some = st.decimals(min_value=0, max_value=10**5, places=4)
price = st.decimals(min_value=0, max_value=1, places=4)
positions = st.builds(
    Position,
    ticker=st.uuids().map(str),
    quantity=st.decimals(min_value=-1000, max_value=1000, places=2),
    cost=some,
    realized_pnl=money,
    fees=some,
    mark=st.none() | price,
)


def account(held, deposited):
    """An account whose cash follows from what it did."""
    cash = deposited + sum(p.realized_pnl - p.fees - (p.cost if p.is_open else 0) for p in held)
    return KalshiPortfolio(cash, tuple(held))


@given(st.lists(positions, max_size=20), money)
def test_an_account_whose_cash_follows_from_its_facts_has_no_gap(held, deposited):
    found = reconcile(account(held, deposited), net_deposits=deposited)
    assert found.gap == 0
    assert found.valuation == 0


@given(st.lists(positions, max_size=20), money, money.filter(lambda amount: amount))
def test_money_that_nothing_explains_is_the_gap(held, deposited, amount):
    portfolio = account(held, deposited)
    portfolio = replace(portfolio, balance=portfolio.balance + amount)
    assert reconcile(portfolio, net_deposits=deposited).gap == amount


@given(st.lists(positions, min_size=1, max_size=20), money, st.data())
def test_markets_that_are_closed_stay_explained_by_their_sums(held, deposited, data):
    flat = [replace(position, quantity=Decimal(0), cost=Decimal(0)) for position in held]
    whole = account(flat, deposited)
    gone = data.draw(st.integers(0, len(flat)))
    closed = ClosedMarkets(sum(p.realized_pnl for p in flat[:gone]), sum(p.fees for p in flat[:gone]), gone)
    listed = replace(whole, positions=whole.positions[gone:], closed=closed)
    assert reconcile(listed, net_deposits=deposited).gap == 0


HELD = Position("A", Decimal(10), Decimal(4), Decimal(7), Decimal("0.50"), Decimal("0.60"), "bid")


def test_kalshi_s_value_of_the_positions_counts_and_a_different_valuation_is_reported():
    portfolio = account([HELD], Decimal(100))
    told = replace(portfolio, portfolio_value=Decimal("6.25"))
    found = reconcile(told, net_deposits=Decimal(100))
    assert found.equity == portfolio.balance + Decimal("6.25")
    assert found.gap == found.valuation == Decimal("0.25")


def test_a_portfolio_value_with_cash_in_it_is_recognised_by_the_positions():
    portfolio = account([HELD], Decimal(100))
    told = replace(portfolio, portfolio_value=portfolio.balance + 6)
    found = reconcile(told, net_deposits=Decimal(100))
    assert found.equity == portfolio.balance + 6
    assert found.gap == 0


def test_a_position_without_a_mark_is_worth_its_cost():
    assert worth(HELD) == 6
    assert worth(replace(HELD, mark=None)) == 4


def test_only_applied_transfers_have_moved_money():
    def transfer(kind, amount, fee="0", status="applied"):
        return Transfer(kind, None, Decimal(amount), Decimal(fee), status, 1, 2)

    moved = [
        transfer("deposit", 100, "2"),
        transfer("deposit", 50, status="pending"),
        transfer("withdrawal", 30, "1"),
        transfer("withdrawal", 9, status="failed"),
    ]
    assert net_deposits(moved) == 69
    assert net_deposits([]) == 0


def test_a_difference_is_what_the_ledger_has_more():
    assert Difference("fees", Decimal(3), Decimal("2.50")).amount == Decimal("0.50")
