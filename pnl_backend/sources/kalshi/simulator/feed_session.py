"""One connection to Kalshi's WebSocket feed: its commands, its subscriptions, and what waits to be sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, web

from pnl_backend.sources.simulated.tasks import ended

from .exchange import Event, Exchange
from .feed_shapes import feed_message
from .shapes import Json

_PING_EVERY = 10.0
_MOST_WAITING = 5_000
_CHANNELS = {
    "ticker": "ticker",
    "fill": "fill",
    "market_positions": "market_position",
    "market_lifecycle_v2": "market_lifecycle_v2",
}
_ERRORS = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    10: "Channel error",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    25: "Subscription buffer overflow",
}


class FeedError(Exception):
    """A command that the feed refuses, by Kalshi's number."""

    def __init__(self, code: int) -> None:
        super().__init__(_ERRORS[code])
        self.code = code


@dataclass
class Subscription:
    """One channel of one connection; `tickers=None` means all markets."""

    sid: int
    channel: str
    tickers: set[str] | None
    user_id: str
    seq: int = 0

    def includes(self, event: Event) -> bool:
        return (
            _CHANNELS[self.channel] == event.kind
            and (self.tickers is None or event.market.ticker in self.tickers)
            and event.user_id in ("", self.user_id)
        )

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq


class Session:
    """One connection: its subscriptions, and what waits to be sent."""

    def __init__(
        self,
        exchange: Exchange,
        socket: web.WebSocketResponse,
        request: web.Request,
        *,
        user_id: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._exchange = exchange
        self._user_id = user_id
        self._socket = socket
        self._request = request
        self._now_ms = now_ms
        self._subscriptions: dict[int, Subscription] = {}
        self._last_sid = 0
        self._waiting: asyncio.Queue[Json] = asyncio.Queue()
        self._commands: dict[str, Callable[[int, Json], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "update_subscription": self._update,
            "list_subscriptions": self._list,
        }

    async def run(self) -> None:
        """Read commands until the connection ends; a writer and a pinger go beside it."""
        writer = asyncio.create_task(self._write())
        pinger = asyncio.create_task(self._ping())
        try:
            async for message in self._socket:
                if message.type == WSMsgType.TEXT:
                    self._command(message.data)
        finally:
            await ended(writer)
            await ended(pinger)

    def notify(self, event: Event) -> None:
        for subscription in list(self._subscriptions.values()):
            if subscription.includes(event):
                if self._waiting.qsize() >= _MOST_WAITING:
                    self._end(subscription, 25)
                else:
                    self._publish(subscription, event)

    def fail(self, code: int) -> None:
        for subscription in list(self._subscriptions.values()):
            self._end(subscription, code)

    def drop(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def close(self) -> None:
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    def _end(self, subscription: Subscription, code: int) -> None:
        del self._subscriptions[subscription.sid]
        self._send({"type": "error", "sid": subscription.sid, "msg": {"code": code, "msg": _ERRORS[code]}})

    def _publish(self, subscription: Subscription, event: Event) -> None:
        # Of these channels only lifecycles are numbered: a quote, a fill or a position that is lost leaves no trace.
        number = {"seq": subscription.next_seq()} if event.kind == "market_lifecycle_v2" else {}
        message = feed_message(event, self._now_ms())
        self._send({"type": event.kind, "sid": subscription.sid, **number, "msg": message})

    def _send(self, message: Json) -> None:
        self._waiting.put_nowait(message)

    async def _write(self) -> None:
        # A connection that goes while something waits is nothing to report.
        with suppress(ConnectionError):
            while True:
                await self._socket.send_str(json.dumps(await self._waiting.get()))

    async def _ping(self) -> None:
        with suppress(ConnectionError):
            while True:
                await asyncio.sleep(_PING_EVERY)
                await self._socket.ping(b"heartbeat")

    def _command(self, text: str) -> None:
        number = 0
        try:
            command = json.loads(text)
            if not isinstance(command, dict):
                raise FeedError(1)
            number = command.get("id", 0)
            run = self._commands.get(command.get("cmd", ""))
            if run is None:
                raise FeedError(5)
            params = command.get("params", {})
            if not isinstance(params, dict):
                raise FeedError(2)
            run(number, params)
        except (json.JSONDecodeError, TypeError):
            # TypeError: a list or an object in place of a name or a number.
            self._refuse(number, FeedError(1))
        except FeedError as error:
            self._refuse(number, error)

    def _refuse(self, number: int, error: FeedError) -> None:
        self._send({"id": number, "type": "error", "msg": {"code": error.code, "msg": str(error)}})

    def _subscribe(self, number: int, params: Json) -> None:
        channels = params.get("channels")
        if not isinstance(channels, list) or not channels:
            raise FeedError(3)
        if any(name not in _CHANNELS for name in channels):
            raise FeedError(8)
        for name in channels:
            self._last_sid += 1
            tickers = None if name == "market_lifecycle_v2" else _tickers(params)
            subscription = Subscription(self._last_sid, name, tickers, self._user_id)
            self._subscriptions[subscription.sid] = subscription
            self._send({"id": number, "type": "subscribed", "msg": {"channel": name, "sid": subscription.sid}})
            if name == "ticker" and params.get("send_initial_snapshot"):
                self._quote(subscription, tickers)

    def _quote(self, subscription: Subscription, tickers: set[str] | None) -> None:
        for market in self._exchange.markets.values():
            if tickers is None or market.ticker in tickers:
                self._publish(subscription, Event("ticker", market))

    def _unsubscribe(self, number: int, params: Json) -> None:
        for subscription in self._named(params):
            del self._subscriptions[subscription.sid]
            answer = {"id": number, "type": "unsubscribed", "sid": subscription.sid, "seq": subscription.next_seq()}
            self._send(answer)

    def _update(self, number: int, params: Json) -> None:
        subscriptions = self._named(params)
        if len(subscriptions) != 1:
            raise FeedError(12)
        if "action" not in params:
            raise FeedError(15)
        if params["action"] not in ("add_markets", "delete_markets"):
            raise FeedError(13)
        tickers = _tickers(params)
        if tickers is None:
            raise FeedError(14)
        subscription = subscriptions[0]
        self._change(subscription, tickers, adds=params["action"] == "add_markets")
        held = sorted(subscription.tickers or ())
        answer = {"id": number, "type": "ok", "sid": subscription.sid, "seq": subscription.next_seq()}
        self._send({**answer, "msg": {"market_tickers": held}})
        if params["action"] == "add_markets" and params.get("send_initial_snapshot"):
            self._quote(subscription, tickers)

    @staticmethod
    def _change(subscription: Subscription, tickers: set[str], *, adds: bool) -> None:
        # A subscription of all markets stays one; one that is left without any market gets nothing.
        if subscription.tickers is not None:
            subscription.tickers = subscription.tickers | tickers if adds else subscription.tickers - tickers

    def _list(self, number: int, _params: Json) -> None:
        held = [{"channel": held.channel, "sid": held.sid} for held in self._subscriptions.values()]
        self._send({"id": number, "type": "ok", "msg": held})

    def _named(self, params: Json) -> list[Subscription]:
        sids = params.get("sids") or ([params["sid"]] if "sid" in params else [])
        if not isinstance(sids, list) or not sids:
            raise FeedError(4)
        if any(sid not in self._subscriptions for sid in sids):
            raise FeedError(7)
        return [self._subscriptions[sid] for sid in sids]


def _tickers(params: Json) -> set[str] | None:
    """The markets that a command names; None without any, an error for an empty list."""
    if "market_tickers" not in params and "market_ticker" not in params:
        return None
    named = params["market_tickers"] if "market_tickers" in params else [params["market_ticker"]]
    if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
        raise FeedError(14)
    return set(named)
