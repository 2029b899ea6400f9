"""Kalshi's WebSocket feed: quotes, fills and positions to whoever subscribed, without snapshots or sequence numbers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, WSMsgType, web

from .kalshi import KalshiApi
from .kalshi_shapes import Json, feed_message
from .upstream import Upstream, ended
from .world import Event, World

PATH = "/trade-api/ws/v2"
_PING_EVERY = 10.0
_GOODBYE = 0.2
_MOST_WAITING = 5_000
_CHANNELS = {"ticker": "ticker", "fill": "fill", "market_positions": "market_position"}
_ERRORS = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    6: "Already subscribed",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    10: "Channel error",
    13: "Unsupported action",
    14: "Market ticker required",
    17: "Internal error",
    25: "Subscription buffer overflow",
}


class FeedError(Exception):
    """A command that the feed refuses, by Kalshi's number."""

    def __init__(self, code: int) -> None:
        super().__init__(_ERRORS[code])
        self.code = code


@dataclass
class Subscription:
    """One channel of one connection; no tickers means all markets."""

    sid: int
    channel: str
    tickers: set[str] = field(default_factory=set)

    def wants(self, event: Event) -> bool:
        return _CHANNELS[self.channel] == event.kind and (not self.tickers or event.market.ticker in self.tickers)


class KalshiFeed:
    """Serves the feed beside the REST routes; the handshake is signed like any request."""

    def __init__(self, world: World, upstream: Upstream, api: KalshiApi) -> None:
        self.muted = False
        self._world = world
        self._upstream = upstream
        self._api = api
        self._sessions: set[Session] = set()
        upstream.add(PATH, self._serve, absolute=True)
        upstream.before_stop = self._close
        world.listeners.append(self._tell)

    @property
    def connections(self) -> int:
        return len(self._sessions)

    def fail(self, code: int) -> None:
        """End every subscription with an error, as 10, 17 and 25 do."""
        for session in self._sessions:
            session.fail(code)

    def drop(self) -> None:
        """Cut every connection without a goodbye."""
        for session in list(self._sessions):
            session.drop()

    async def _close(self) -> None:
        for session in list(self._sessions):
            await session.close()

    def _tell(self, event: Event) -> None:
        if not self.muted:
            for session in self._sessions:
                session.tell(event)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        refusal = self._api.refusal(request)
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(compress=False, timeout=_GOODBYE)
        await socket.prepare(request)
        session = Session(self._world, socket, request, now_ms=lambda: int(self._upstream.now(request) * 1000))
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
        return socket


class Session:
    """One connection: its subscriptions, and what waits to be sent."""

    def __init__(
        self, world: World, socket: web.WebSocketResponse, request: web.Request, *, now_ms: Callable[[], int]
    ) -> None:
        self._world = world
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

    def tell(self, event: Event) -> None:
        for subscription in list(self._subscriptions.values()):
            if subscription.wants(event):
                if self._waiting.qsize() >= _MOST_WAITING:
                    self._end(subscription, 25)
                else:
                    self._send(
                        {"type": event.kind, "sid": subscription.sid, "msg": feed_message(event, self._now_ms())}
                    )

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
        message = feed_message(event, self._now_ms())
        self._send({"type": event.kind, "sid": subscription.sid, "msg": message})

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
            # TypeError: a list or an object stood where a name or a number was due.
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
        held = {subscription.channel for subscription in self._subscriptions.values()}
        if held & set(channels):
            raise FeedError(6)
        for name in channels:
            self._last_sid += 1
            subscription = Subscription(self._last_sid, name, _tickers(params))
            self._subscriptions[subscription.sid] = subscription
            self._send({"id": number, "type": "subscribed", "msg": {"channel": name, "sid": subscription.sid}})
            if name == "ticker" and params.get("send_initial_snapshot"):
                self._quote_all(subscription)

    def _quote_all(self, subscription: Subscription) -> None:
        for market in self._world.markets.values():
            event = Event("ticker", market)
            if subscription.wants(event):
                self._publish(subscription, event)

    def _unsubscribe(self, number: int, params: Json) -> None:
        for subscription in self._named(params):
            del self._subscriptions[subscription.sid]
            self._send({"id": number, "type": "unsubscribed", "sid": subscription.sid})

    def _update(self, number: int, params: Json) -> None:
        tickers = _tickers(params)
        if not tickers:
            raise FeedError(14)
        subscriptions = self._named(params)
        if params.get("action") not in ("add_markets", "delete_markets"):
            raise FeedError(13)
        for subscription in subscriptions:
            if params["action"] == "add_markets":
                subscription.tickers |= tickers
            else:
                subscription.tickers -= tickers
        self._send({"id": number, "type": "ok", "msg": {"market_tickers": sorted(tickers)}})

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


def _tickers(params: Json) -> set[str]:
    one = [params["market_ticker"]] if "market_ticker" in params else []
    named = params.get("market_tickers") or one
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise FeedError(14)
    return set(named)
