"""Kalshi's positions and markets as JSON, read into Position values with their marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from pnl_backend.domain.money import ZERO
from pnl_backend.domain.readings import MarkSource, Position
from pnl_backend.errors import InvalidResponse
from pnl_backend.sources.fields import (
    Object,
    contracts,
    dollars,
    optional_dollars,
    optional_text,
    refuse,
    text,
)

ONE = Decimal(1)
_SETTLED = frozenset({"finalized", "settled"})
_DETERMINED = frozenset({"determined", "amended"})
"""The outcome is known and not paid out yet; trading has ended."""

Row = tuple[Object, str]


def read_positions(rows: Iterable[Row], subaccount: int = 0, *, settled: bool = False) -> dict[str, Position]:
    """Positions by ticker, without marks. A row that paging brought twice counts once; two that differ are refused.

    Rows of a list of `settled` markets are settled unless a contract is still held, which is paid out later.
    """
    positions: dict[str, Position] = {}
    for row, path in rows:
        position = _position(row, path, subaccount, settled=settled)
        if positions.setdefault(position.ticker, position) != position:
            raise InvalidResponse(f"{path}.ticker: {position.ticker!r} comes twice with different figures")
    return positions


def mark_positions(positions: Iterable[Position], markets: Iterable[Row]) -> tuple[Position, ...]:
    """The same positions, the open ones marked by the market of their ticker, or at cost where there is none."""
    found: Mapping[str, Row] = {text(market, "ticker", path): (market, path) for market, path in markets}
    return tuple(_marked(position, found.get(position.ticker)) for position in positions)


def _position(row: Object, path: str, subaccount: int, *, settled: bool) -> Position:
    """Both generations of fields; the string wins where both are there."""
    quantity = contracts(row, "position", path)
    return Position(
        ticker=text(row, "ticker", path),
        quantity=quantity,
        cost=dollars(row, "market_exposure", path),
        realized_pnl=dollars(row, "realized_pnl", path),
        fees=dollars(row, "fees_paid", path),
        subaccount=subaccount,
        settled=settled and not quantity,
    )


def _marked(position: Position, market: Row | None) -> Position:
    if not position.is_open:
        return position
    mark, source = (None, "cost") if market is None else _mark(position, *market)
    p = position
    return Position(p.ticker, p.quantity, p.cost, p.realized_pnl, p.fees, mark, source, p.subaccount, p.settled)


def _mark(position: Position, market: Object, path: str) -> tuple[Decimal | None, MarkSource]:
    """Settlement value of a market whose outcome is known; else the bid of the side held, the last price, the cost.

    Prices are of YES; a NO contract is worth one dollar less that. An empty bid or a market without a trade reads 0.
    At cost there is no mark, so that the unrealized P&L is exactly 0.
    """
    yes = position.quantity > 0
    value = settlement_value(market, path)
    if value is not None:
        return (value if yes else ONE - value), "settlement"
    bid = _bid(market, path, "yes" if yes else "no")
    if bid:
        return bid, "bid"
    last = _price(market, "last_price", path)
    if last is None:
        refuse(path, "last_price_dollars", "is missing")
    if last:
        return (last if yes else ONE - last), "last"
    return None, "cost"


def settlement_value(market: Object, path: str) -> Decimal | None:
    """What a YES contract is paid, from the moment the outcome is known; None while it is open."""
    status = optional_text(market, "status", path)
    if status not in _SETTLED and status not in _DETERMINED:
        return None
    value = _price(market, "settlement_value", path)
    if value is None:
        value = {"yes": ONE, "no": ZERO}.get(optional_text(market, "result", path) or "")
    if value is None and status in _SETTLED:
        refuse(path, "settlement_value_dollars", "is missing")
    return value


def _bid(market: Object, path: str, side: str) -> Decimal:
    """The bid of a side, or one dollar less the other side's ask where that bid is missing."""
    bid = _price(market, f"{side}_bid", path)
    if bid is not None:
        return bid
    ask = _price(market, "no_ask" if side == "yes" else "yes_ask", path)
    if ask is None:
        refuse(path, f"{side}_bid_dollars", "is missing")
    return ONE - ask if ask else ZERO


def _price(market: Object, name: str, path: str) -> Decimal | None:
    price = optional_dollars(market, name, path)
    if price is not None and not ZERO <= price <= ONE:
        refuse(path, f"{name}_dollars", "is not between 0 and 1", price)
    return price
