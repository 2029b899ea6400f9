"""Reads every feed of one server at once, and lists where they differ from the expected figures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import orjson

from tests.support.clients import Listener, listening
from tests.support.feeds import event_stream, plain_socket
from tests.support.published import CENT, Figures

Message = dict[str, Any]
Difference = tuple[str, str, Any, Any]
"""Feed, field, shown, expected."""

SUBSCRIPTIONS = ("subscribe_pnl", "subscribe_components", "subscribe_dashboard")
HOUR_MS = 3_600_000
TENTH = Decimal("0.1")


class EveryFeed:
    """Follows each live feed and keeps the newest of each; `updates` are all `pnl_update` snapshots so far."""

    def __init__(self, url: str, http: aiohttp.ClientSession, listener: Listener) -> None:
        self._url = url
        self._http = http
        self._listener = listener
        self._held: dict[str, Message] = {}

    @property
    def updates(self) -> list[Message]:
        return [message["data"] for message in self._listener.of("pnl_update")]

    async def get(self, path: str) -> Any:
        """The parsed answer; AssertionError for any status but 200."""
        async with self._http.get(self._url + path) as answer:
            assert answer.status == 200, await answer.text()
            return orjson.loads(await answer.read())

    async def follow(self, name: str, read: Any) -> None:
        """Keep what a plain feed has said: a snapshot replaces it, a delta is spread over it."""
        while True:
            message = await read()
            if "type" not in message:
                self._held[name] = message
            elif message["type"] == "snapshot":
                self._held[name] = message["data"]
            else:
                self._held[name] = self._spread(name, message["data"])

    def _spread(self, name: str, delta: Message) -> Message:
        held = self._held[name]
        for field, change in (("netPnL", "netPnLDelta"), ("kalshiPnL", "kalshiDelta"), ("totalCosts", "costsDelta")):
            moved = _exact(held[field]) + _exact(delta[change])
            assert moved == _exact(delta[field]), f"{name}: {field} {held[field]} {change} {delta[change]}"
        return {**held, **delta}

    async def differences(self, expected: Figures, baseline: Decimal | None) -> list[Difference]:
        """Where any feed shows anything else than `expected`; `baseline` is what the day's trend is measured from."""
        current = await self.get("/api/pnl/current")
        found = [*_snapshot("current", current["data"], expected, baseline), *_ledger("current", current, expected)]
        found += _breakdown("breakdown", (await self.get("/api/pnl/breakdown"))["data"], expected)
        (row,) = (await self.get("/api/pnl/history?limit=1"))["data"]["data"]
        found += _snapshot("history", row, expected, baseline)
        hour = f"from={current['data']['calculatedAt'] - HOUR_MS}&to={current['data']['calculatedAt'] + HOUR_MS}"
        candle = (await self.get(f"/api/pnl/history?resolution=raw&{hour}"))["data"]["data"][-1]
        found += _compared("history raw", candle, _candle(expected))
        for event, check in (("pnl_update", _snapshot), ("components_update", _breakdown), ("pnl-update", _dashboard)):
            said = self._listener.of(event)
            newest = (said[-1] if event == "pnl-update" else said[-1]["data"]) if said else {}
            extra = () if check is _breakdown else (baseline,)
            found += check(event, newest, expected, *extra)  # type: ignore[operator]
        for name in ("websocket", "sse"):
            found += _compared(name, self._held.get(name, {}), _sums(expected))
        return found + list(_dashboard("dashboard", self._held.get("dashboard", {}), expected, baseline))

    async def gap(self) -> Decimal | None:
        """What the account's equity is off by, in USD; None while it is not known."""
        found = (await self.get("/health"))["reconciliation"]["gap"]
        return None if found is None else _exact(found)

    async def verified(self) -> Message:
        """What the server says of the figures that it has derived a second time."""
        current = await self.get("/api/pnl/current")
        return current["data"]["sources"]["kalshi"]["verified"] or {"realized": None, "equity": None}


@asynccontextmanager
async def every_feed(url: str) -> AsyncIterator[EveryFeed]:
    """Connect to every feed; each has given its first message."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        listener = await stack.enter_async_context(listening(url, transports=["websocket"]))
        feeds = EveryFeed(url, http, listener)
        for subscribe in SUBSCRIPTIONS:
            assert (await listener.io.call(subscribe))["ok"]
        socket = await stack.enter_async_context(plain_socket(url))
        board = await stack.enter_async_context(plain_socket(url, "/pnl-stream"))
        stream = await stack.enter_async_context(event_stream(url))

        async def sse() -> Message:
            return (await stream.read()).data

        readers = {"websocket": socket.read, "dashboard": board.read, "sse": sse}
        tasks = [asyncio.create_task(feeds.follow(name, read)) for name, read in readers.items()]
        try:
            yield feeds
        finally:
            for task in tasks:
                task.cancel()
            failed = await asyncio.gather(*tasks, return_exceptions=True)
            wrong = [error for error in failed if isinstance(error, AssertionError)]
            if wrong:
                raise wrong[0]


def _exact(value: Any) -> Decimal:
    return Decimal(str(value))


def _compared(feed: str, shown: Message, expected: dict[str, Any], prefix: str = "") -> Iterator[Difference]:
    for name, wanted in expected.items():
        if name not in shown:
            yield feed, prefix + name, "missing", wanted
        elif isinstance(wanted, dict):
            yield from _compared(feed, shown[name], wanted, f"{prefix}{name}.")
        elif (_exact(shown[name]) if isinstance(wanted, Decimal) else shown[name]) != wanted:
            yield feed, prefix + name, shown[name], wanted


def _components(expected: Figures) -> dict[str, Any]:
    return {
        "kalshi": {
            "balance": expected.balance,
            "positions": expected.positions,
            "pnl": expected.pnl,
            "realizedPnl": expected.realized,
            "unrealizedPnl": expected.unrealized,
            "fees": expected.fees,
        },
        "anthropic": {"dailySpend": expected.daily_spend, "totalSpend": expected.total_spend},
        "johns": {"invoiced": expected.invoiced, "collected": expected.collected, "pipeline": expected.pipeline},
    }


def _totals(expected: Figures) -> dict[str, Any]:
    return {
        "totalRevenue": expected.revenue,
        "totalExpenses": expected.expenses,
        "netPnL": expected.net,
        "grossMargin": expected.margin,
    }


def _snapshot(feed: str, shown: Message, expected: Figures, baseline: Decimal | None) -> Iterator[Difference]:
    yield from _compared(feed, shown, {**_totals(expected), "components": _components(expected), "degraded": []})
    if baseline is not None:
        yield from _compared(feed, shown, {"dailyTrend": expected.trend(baseline)})
    yield from _compared(feed, shown.get("exact", {}), {"netPnL": expected.exact_net}, "exact.")
    for name, source in shown.get("sources", {}).items():
        yield from _compared(feed, source, {"status": "live"}, f"sources.{name}.")
        if source.get("importing") is not None:
            yield feed, f"sources.{name}.importing", source["importing"], None


def _sums(expected: Figures) -> dict[str, Any]:
    return {
        "kalshiPnL": expected.pnl,
        "totalCosts": expected.expenses,
        "totalRevenue": expected.collected,
        "netPnL": expected.net,
    }


def _ledger(feed: str, shown: Message, expected: Figures) -> Iterator[Difference]:
    parts = {"trades": expected.pnl, "costs": -expected.expenses, "revenue": expected.collected}
    counts = {
        "openTradeCount": expected.positions,
        "closedTradeCount": expected.closed_positions,
        "recentDeals": expected.deals,
    }
    yield from _compared(feed, shown, {**_sums(expected), "breakdown": parts, "components": counts})


def _candle(expected: Figures) -> dict[str, Any]:
    return {
        "netPnL": expected.net,
        "close": expected.net,
        "kalshiPnL": expected.pnl,
        "costs": expected.expenses,
        "revenue": expected.collected,
    }


def _breakdown(feed: str, shown: Message, expected: Figures) -> Iterator[Difference]:
    yield from _compared(feed, shown, {**_components(expected), "summary": _totals(expected)})
    yield from _parts(feed, shown, expected)


def _parts(feed: str, shown: Message, expected: Figures) -> Iterator[Difference]:
    """Cost entries and agents sum exactly to the totals; a part is a cent of rounding from its exact value at most."""
    entries = shown.get("costBreakdown", [])
    values = {entry["name"]: _exact(entry["value"]) for entry in entries}
    exact = {"Trading Fees": expected.fees, **expected.costs}
    if sum(values.values()) != expected.expenses:
        yield feed, "costBreakdown", entries, f"a sum of {expected.expenses}"
    for name in exact.keys() | values.keys():
        if abs(values.get(name, Decimal(0)) - exact.get(name, Decimal(0))) >= CENT:
            yield feed, f"costBreakdown {name}", values.get(name), exact.get(name)
    shares = [_exact(entry["percentage"]) for entry in entries]
    whole = 100 if any(value > 0 for value in values.values()) else 0
    if any(not 0 <= share <= 100 for share in shares) or (sum(shares) != whole and expected.expenses > 0):
        yield feed, "costBreakdown percentages", shares, f"0 to 100, a sum of {whole}"
    if min(values.values(), default=Decimal(0)) >= 0 and expected.expenses > 0:
        for entry in entries:
            exact_share = 100 * _exact(entry["value"]) / expected.expenses
            if abs(_exact(entry["percentage"]) - exact_share) >= TENTH:
                yield feed, f"costBreakdown {entry['name']}.percentage", entry["percentage"], exact_share
    agents = {
        agent: {"revenue": revenue, "expenses": expenses, "net": revenue - expenses}
        for agent, (revenue, expenses) in expected.agents().items()
    }
    said = {entry["agent"]: entry for entry in shown.get("agentAttribution", [])}
    yield from _compared(feed, said, agents, "agentAttribution.")
    if said.keys() - agents.keys():
        yield feed, "agentAttribution", sorted(said), sorted(agents)


def _dashboard(feed: str, shown: Message, expected: Figures, baseline: Decimal | None) -> Iterator[Difference]:
    sums = {"revenue": expected.revenue, "expenses": expected.expenses}
    before = {} if baseline is None else {"previousNetPnL": baseline}
    yield from _compared(feed, shown, {**sums, "netPnL": expected.net, **before})
    yield from _parts(feed, shown, expected)
    yield from _compared(feed, (shown.get("trendsData") or [{}])[-1], {**sums, "net": expected.net}, "trendsData[-1].")
