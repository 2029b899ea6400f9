"""Plain WebSocket feeds: the key, pings, and what happens to messages that are none; what they carry is a channel's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from pnl_backend.engine import Deadlines, Environ, FeedConnection, Refusal, Server, closes, refusals
from pnl_backend.stream.inbound import Budget
from pnl_backend.stream.limits import BAD_MESSAGES, KEY_TIMEOUT, MAX_KEYLESS
from pnl_backend.wire.message import decoded, encode
from pnl_backend.wire.refusals import BadRequest
from pnl_backend.wire.socket_messages import Auth, FeedError, Ping, Pong

_MESSAGES: type[Auth | Ping] = Auth | Ping  # type: ignore[assignment]  # a union is no class

Authenticate = Callable[[Environ, object], str | Refusal | None]
"""Takes a request and an `auth` object; the name of a right key, None, or a Refusal after too many wrong ones."""


class Channel(Protocol):
    """What a feed carries."""

    def join(self, connection: FeedConnection) -> None: ...

    def leave(self, connection: FeedConnection) -> None: ...


class PlainSockets:
    """One channel at one or more paths."""

    def __init__(
        self,
        server: Server,
        channel: Channel,
        *,
        authenticate: Authenticate,
        key_timeout: float = KEY_TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.server = server
        self.channel = channel
        self.authenticate = authenticate
        self.clock = clock
        self.keys_due = Deadlines[FeedConnection](
            server.eio.shared.timers, key_timeout, lambda connection: connection.close(closes.MISSING_KEY)
        )
        """Connections that have not sent their key."""

    def mount(self, *paths: str) -> None:
        for path in paths:
            self.server.add_feed(path, self.accept)

    def accept(self, environ: Environ) -> PlainSocket | Refusal:
        """Check the key that the request brings; one without may send it first, unless too many are about to."""
        name = self.authenticate(environ, None)
        if isinstance(name, Refusal):
            return name
        if name is None and len(self.keys_due) >= MAX_KEYLESS:
            return Refusal.of(refusals.KEYLESS_FULL)
        return PlainSocket(self, name)


class PlainSocket:
    """One client's side of a feed."""

    __slots__ = ("_bad", "_budget", "_feed", "_name")

    def __init__(self, feed: PlainSockets, name: str | None) -> None:
        self._feed = feed
        self._name = name
        self._budget = Budget()
        self._bad = 0

    def opened(self, connection: FeedConnection) -> None:
        if self._name is not None:
            self._admit(connection, self._name)
        elif _brings_key(connection.environ):
            connection.close(closes.WRONG_KEY)
        else:
            self._feed.keys_due.add(connection)

    def received(self, connection: FeedConnection, data: str | bytes) -> None:
        if not self._budget.spend():
            self._error(connection, "Too many messages")
            if self._budget.exhausted:
                connection.close(closes.TOO_MANY_MESSAGES)
            return
        message = _parse(data)
        if isinstance(message, Auth):
            self._authenticate(connection, message)
        elif self._name is None:
            connection.close(closes.MISSING_KEY)
        elif isinstance(message, Ping):
            connection.send(encode(Pong(int(self._feed.clock() * 1000))).decode())
        else:
            self._refuse(connection, message)

    def closed(self, connection: FeedConnection, reason: str) -> None:  # noqa: ARG002 - whatever the reason
        self._feed.keys_due.discard(connection)
        self._feed.channel.leave(connection)

    def _authenticate(self, connection: FeedConnection, message: Auth) -> None:
        """A key as a message; a client that is authenticated already may send it too, but a wrong one closes."""
        name = self._feed.authenticate(connection.environ, {"apiKey": message.apiKey})
        if name is None:
            connection.close(closes.WRONG_KEY)
        elif isinstance(name, Refusal):
            connection.close(closes.WRONG_KEYS_LIMITED.because(name.message))
        elif self._name is None:
            self._feed.keys_due.discard(connection)
            self._name = name
            self._admit(connection, name)

    def _admit(self, connection: FeedConnection, name: str) -> None:
        if connection.claim(name):
            self._feed.channel.join(connection)
        else:
            connection.close(closes.KEY_FULL)

    def _refuse(self, connection: FeedConnection, error: str) -> None:
        self._bad += 1
        self._error(connection, error)
        if self._bad >= BAD_MESSAGES:
            connection.close(closes.TOO_MANY_BAD_MESSAGES)

    @staticmethod
    def _error(connection: FeedConnection, message: str) -> None:
        connection.send(encode(FeedError(message)).decode())


def _brings_key(environ: Environ) -> bool:
    return bool(environ.query.get("apiKey") or environ.header("X-API-Key") or environ.header("Authorization"))


def _parse(data: str | bytes) -> Auth | Ping | str:
    """A client's message, or what is wrong with it."""
    if isinstance(data, bytes):
        return "Binary messages are not understood"
    try:
        return decoded(data, _MESSAGES)
    except BadRequest as error:
        return f"Not understood: {error}"
