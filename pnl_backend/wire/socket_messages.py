"""Messages of Socket.IO and of the plain WebSockets other than those of the feeds, in both directions."""
# ruff: noqa: N815 - fields have the names of the JSON

from __future__ import annotations

from typing import Annotated, Any, Literal

from pnl_backend.wire.message import UNSET, Always, Count, IsoTime, Message, Meta, Millis, Never, UnsetType
from pnl_backend.wire.models import Breakdown, Snapshot

Origin = Literal["initial", "stream", "replay"]
"""Why an update is sent: at a subscription, as the newest, or because it was missed."""


# Socket.IO: what a client sends.


class ConnectAuth(Message):
    """The `auth` of a connection. Socket.IO's own clients add `pid` and `offset` when they come back after a cut."""

    apiKey: Annotated[str | None, Meta(description="The read key; `?apiKey=` in the address does as well.")] = None
    recovery: Annotated[
        bool | None,
        Meta(description="Whether broadcasts end with an offset; by default to browsers and to Node only."),
    ] = None
    pid: Annotated[str | None, Meta(description="From the CONNECT answer of the connection that was lost.")] = None
    offset: Annotated[str | None, Meta(description="The last argument of the last broadcast received.")] = None


class Since(Message):
    """The last update that a subscriber received."""

    epoch: Annotated[str, Meta(min_length=1, max_length=64)]
    seq: Annotated[int, Meta(ge=0, lt=2**53)]


class Subscribe(Message):
    """With `since`, every later update that is still stored is replayed."""

    since: Since | None = None


# Socket.IO: what the server sends.


class Connected(Message):
    """The CONNECT answer; `pid` only where the connection can be recovered."""

    sid: str
    pid: str | UnsetType = UNSET


class ConnectErrorData(Message):
    """`status` is that of HTTP; `retryAfter` in seconds."""

    status: int
    retryAfter: int | UnsetType = UNSET


class ConnectError(Message):
    """Why a connection was refused; `data` after too many wrong keys."""

    message: Annotated[str, Meta(examples=["Invalid or missing API key"])]
    data: ConnectErrorData | UnsetType = UNSET


class ConnectSuccess(Message):
    """Sent first after a connection."""

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
    """`seq` is the newest update; `recovered`: nothing between `since` and `seq` is missing."""

    ok: Always
    epoch: str
    seq: Count
    recovered: bool


class UnsubscribeAck(Message):
    ok: Always


class ErrorMessage(Message):
    """An invalid `since`, or too many messages."""

    message: str
    code: Annotated[str, Meta(examples=["bad_payload", "rate_limited"])]


class RefusedAck(ErrorMessage):
    """The acknowledgement of an event that was refused: with an `error`, or as unknown (`unknown_event`)."""

    ok: Never = False


class Subscriptions(Message):
    """The subscriptions of a client; it carries the offset where a change of them sends no update."""

    topics: Annotated[list[str], Meta(examples=[["pnl", "components", "dashboard"]])]


class StreamError(Message):
    """Updates have stopped; sent once."""

    message: str
    timestamp: IsoTime


# The plain WebSockets.


class Auth(Message, tag_field="type", tag="auth"):
    """The key, as the first message of a client that gave none in the address."""

    apiKey: Annotated[Any, Meta(extra_json_schema={"type": "string"})]
    """Any value is accepted: one that is not a text closes the connection as a wrong key does."""


class Ping(Message, tag_field="type", tag="ping"):
    """Requests a pong."""


class Pong(Message, tag_field="type", tag="pong"):
    """The answer to a ping."""

    timestamp: Millis


class FeedError(Message, tag_field="type", tag="error"):
    """A message that was not understood; the third one closes the connection with 1008."""

    message: str
