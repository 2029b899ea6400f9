"""What clients of Socket.IO and of the plain WebSockets send, and what they are sent beside the feeds' own messages."""
# ruff: noqa: N815 - fields are the names that stand on the wire

from __future__ import annotations

from typing import Annotated, Any, Literal

from pnl_backend.wire.message import UNSET, Always, Count, IsoTime, Message, Meta, Millis, Never, UnsetType
from pnl_backend.wire.models import Breakdown, Snapshot

Origin = Literal["initial", "stream", "replay"]
"""How an update came: at a subscription, as the newest, or because it was missed."""


# Socket.IO: what a client sends.


class ConnectAuth(Message):
    """The `auth` of a connection. Socket.IO's own clients add `pid` and `offset` when they come back after a cut."""

    apiKey: Annotated[str | None, Meta(description="The read key; `?apiKey=` in the address does as well.")] = None
    recovery: Annotated[
        bool | None,
        Meta(description="Whether broadcasts end with an offset; by default to browsers and to Node only."),
    ] = None
    pid: Annotated[str | None, Meta(description="Of the connection that was cut, as its CONNECT answer gave it.")] = (
        None
    )
    offset: Annotated[str | None, Meta(description="The last argument of the last broadcast that arrived.")] = None


class Since(Message):
    """The last update that a subscriber saw."""

    epoch: Annotated[str, Meta(min_length=1, max_length=64)]
    seq: Annotated[int, Meta(ge=0, lt=2**53)]


class Subscribe(Message):
    """With `since`, every update after it is replayed while it is held."""

    since: Since | None = None


# Socket.IO: what the server sends.


class Connected(Message):
    """The CONNECT answer; `pid` only where the connection can be recovered."""

    sid: str
    pid: str | UnsetType = UNSET


class ConnectErrorData(Message):
    """As HTTP says it; `retryAfter` in seconds."""

    status: int
    retryAfter: int | UnsetType = UNSET


class ConnectError(Message):
    """Why a connection was refused; `data` after too many wrong keys."""

    message: Annotated[str, Meta(examples=["Invalid or missing API key"])]
    data: ConnectErrorData | UnsetType = UNSET


class ConnectSuccess(Message):
    """The greeting."""

    message: str
    clientId: str
    timestamp: IsoTime
    transport: Literal["websocket", "polling"]


class PnLUpdate(Message):
    """A whole snapshot: the newest at a subscription, one that was missed, or the next."""

    data: Snapshot
    timestamp: IsoTime
    source: Origin


class ComponentsUpdate(Message):
    """The breakdown of the snapshot with the same `seq`."""

    data: Breakdown
    timestamp: IsoTime
    source: Origin


class SubscribeAck(Message):
    """`seq` is the newest update; `recovered` says that nothing between `since` and it is missing."""

    ok: Always
    epoch: str
    seq: Count
    recovered: bool


class UnsubscribeAck(Message):
    ok: Always


class ErrorMessage(Message):
    """A `since` that is none, or too many messages."""

    message: str
    code: Annotated[str, Meta(examples=["bad_payload", "rate_limited"])]


class RefusedAck(ErrorMessage):
    """The acknowledgement of what was not done: of an `error`, or of an unknown event (`unknown_event`)."""

    ok: Never = False


class Subscriptions(Message):
    """What a client is subscribed to; it brings the offset where a change of that brings no update."""

    topics: Annotated[list[str], Meta(examples=[["pnl", "components", "dashboard"]])]


class StreamError(Message):
    """Updates have stopped; it comes once."""

    message: str
    timestamp: IsoTime


# The plain WebSockets.


class Auth(Message, tag_field="type", tag="auth"):
    """The key, as the first message of a client that gave none in the address."""

    apiKey: Annotated[Any, Meta(extra_json_schema={"type": "string"})]
    """Any value is taken: what is no right key closes the connection as a wrong one does."""


class Ping(Message, tag_field="type", tag="ping"):
    """Asks for a pong."""


class Pong(Message, tag_field="type", tag="pong"):
    """The answer to a ping."""

    timestamp: Millis


class FeedError(Message, tag_field="type", tag="error"):
    """What could not be understood; the third of them closes with 1008."""

    message: str
