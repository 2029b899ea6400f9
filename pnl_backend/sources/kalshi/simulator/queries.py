"""What the query of a Kalshi list asks for: its filters, its order and its page."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from aiohttp import web

from pnl_backend.sources.simulated.paging import BadParameter, Key, Row, page, read_cursor, whole

from .account import Account
from .records import EXCHANGE_INDEX, LAST_SUBACCOUNT, Fill, Market, Position, Settlement, event_of

_STATUS_FILTER = {
    "unopened": {"initialized"},
    "open": {"active"},
    "closed": {"closed", "inactive"},
    "settled": {"finalized", "determined"},
}
_FOREVER = 10**12
ARCHIVED_FILLS = "historical fills"
Timed = Fill | Settlement


def subaccount_of(request: web.Request, *, default: int | None) -> int | None:
    """The subaccount that the query names."""
    text = request.query.get("subaccount")
    if text is None:
        return default
    return whole(text, "subaccount", default=0, low=0, high=LAST_SUBACCOUNT)


def paged(
    request: web.Request,
    name: str,
    rows: Iterable[Row],
    shape: Callable[[Row], Any],
    *,
    key: Callable[[Row], Key],
    scope: str,
    most: int = 1000,
    newest_first: bool = False,
) -> dict[str, Any]:
    """One page's body: `{name: [...], "cursor": "..."}`; a cursor of another `scope` starts over."""
    limit = whole(request.query.get("limit"), "limit", default=100, low=1, high=most)
    last = read_cursor(request.query.get("cursor", ""), scope)
    shown, cursor = page(rows, last, limit, key=key, scope=scope, newest_first=newest_first)
    return {name: [shape(row) for row in shown], "cursor": cursor}


def by_time(row: Timed) -> Key:
    return row.ts, row.seq


def by_seq(row: Any) -> Key:
    return (row.seq,)


def by_event(held: Position) -> Key:
    return held.event_ticker, held.seq


def by_ticker(market: Market) -> Key:
    return (market.ticker,)


def positions(request: web.Request, account: Account, status: str) -> list[Position]:
    """Live positions of one subaccount (0 unless named) in the order of their pages."""
    counted = [part for part in request.query.get("count_filter", "").split(",") if part]
    if set(counted) - {"position", "total_traded"}:
        raise BadParameter("count_filter must be position or total_traded")
    wanted = _wanted_position(request)

    def shown(held: Position) -> bool:
        return (
            (status == "all" or held.settled == (status == "settled"))
            and ("position" not in counted or held.quantity != 0)
            and ("total_traded" not in counted or held.total_traded != 0)
            and wanted(held)
        )

    rows = [held for held in account.positions.values() if shown(held)]
    return rows if status == "unsettled" else sorted(rows, key=by_event)


def archived_positions(request: web.Request, account: Account) -> list[Position]:
    """Archived positions of one subaccount (0 unless named), by event."""
    wanted = _wanted_position(request)
    return sorted((held for held in account.archived.values() if wanted(held)), key=by_event)


def _wanted_position(request: web.Request) -> Callable[[Position], bool]:
    subaccount, named = subaccount_of(request, default=0), _named(request)
    return lambda held: held.subaccount == subaccount and named(held.ticker)


def fills(request: web.Request, account: Account, cutoff: float, *, archived: bool) -> Iterator[Fill]:
    """Fills that the query asks for, newest first; the live ones, or those that are historical."""
    order = request.query.get("order_id")
    gone = account.archived_fills
    scope = ARCHIVED_FILLS if archived else "fills"
    # Without markets that were archived by command, every live fill is younger than every historical one.
    low, high = (0.0, _FOREVER if gone else cutoff) if archived else (cutoff, _FOREVER)
    rows = newest(request, (account.fills, account.older_fills), scope, low=low, high=high)
    for fill in rows:
        historical = fill.ts < cutoff or fill.ticker in gone
        if historical == archived and (order is None or fill.order_id == order):
            yield fill


def newest(
    request: web.Request, parts: Collection[Sequence[Any]], scope: str, *, low: float = 0.0, high: float = _FOREVER
) -> Iterator[Any]:
    """Rows of `parts` (the newer part first, each oldest first) from `low` until before `high`, newest first.

    Narrowed by what the query asks for: all subaccounts unless one is named. It starts at the cursor and ends at
    `min_ts`, so a page costs what it shows.
    """
    query = request.query
    low = max(low, whole(query.get("min_ts"), "min_ts", default=0, low=0, high=_FOREVER))
    high = min(high, whole(query.get("max_ts"), "max_ts", default=_FOREVER, low=0, high=_FOREVER) + 1)
    subaccount, named = subaccount_of(request, default=None), _named(request)
    last = read_cursor(query.get("cursor", ""), scope)
    before: Key = (float(high),)
    before = before if last is None else min(last, before)
    for row in chain.from_iterable(_backwards(rows, before) for rows in parts):
        if row.ts < low:
            return
        if (subaccount is None or row.subaccount == subaccount) and named(row.ticker):
            yield row


def _backwards(rows: Sequence[Any], before: Key) -> Iterator[Any]:
    end = bisect_left(rows, before, key=by_time)
    return (rows[index] for index in range(end - 1, -1, -1))


def markets(request: web.Request, found: dict[str, Market]) -> list[Market]:
    """Markets that the query names, or all of them, by ticker."""
    query = request.query
    tickers = {name for name in query.get("tickers", "").split(",") if name}
    rows = [found[name] for name in tickers if name in found] if tickers else list(found.values())
    event, series, status = query.get("event_ticker"), query.get("series_ticker"), query.get("status")
    if status and status not in _STATUS_FILTER:
        raise BadParameter("status must be one of unopened, open, closed and settled")
    shown = [
        market
        for market in rows
        if (not status or market.status in _STATUS_FILTER[status])
        and (event is None or market.event_ticker == event)
        and (series is None or market.ticker.partition("-")[0] == series)
    ]
    return sorted(shown, key=by_ticker)


def _named(request: web.Request) -> Callable[[str], bool]:
    query = request.query
    ticker, event = query.get("ticker"), query.get("event_ticker")
    on_shard = whole(query.get("exchange_index"), "exchange_index", default=EXCHANGE_INDEX, low=0, high=99)

    def named(name: str) -> bool:
        return (
            on_shard == EXCHANGE_INDEX
            and (ticker is None or name == ticker)
            and (event is None or event_of(name) == event)
        )

    return named
