"""The messages of the feeds as models, beside those that they share with REST; /asyncapi.json is built from them."""
# ruff: noqa: N815 - fields are the names that stand on the wire

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pnl_backend.wire.models import (
    AgentEntry,
    Breakdown,
    CostEntry,
    IsoTime,
    LedgerFigures,
    LedgerParts,
    Message,
    Snapshot,
)

Source = Literal["initial", "stream", "replay"]
Day = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-02-25"])


# Socket.IO: what a client sends.


class ConnectAuth(Message):
    """The `auth` of a connection. Socket.IO's own clients add `pid` and `offset` when they come back after a cut."""

    apiKey: str | None = Field(default=None, description="The read key; `?apiKey=` in the address does as well.")
    recovery: bool | None = Field(
        default=None,
        description="Whether broadcasts end with an offset; without it those to browsers and to Node's polling do.",
    )
    pid: str | None = Field(default=None, description="Of the connection that was cut, as its CONNECT answer gave it.")
    offset: str | None = Field(default=None, description="The last argument of the last broadcast that arrived.")


class Since(Message):
    """The last update that a subscriber saw."""

    epoch: str = Field(min_length=1, max_length=64)
    seq: int = Field(ge=0)


class Subscribe(Message):
    """With `since`, every update after it is replayed while it is held."""

    since: Since | None = None


# Socket.IO: what the server sends.


class Connected(Message):
    """The CONNECT answer; `pid` only where the connection can be recovered."""

    sid: str
    pid: str | None = None


class ConnectErrorData(Message):
    """As HTTP says it; `retryAfter` in seconds."""

    status: int
    retryAfter: int | None = None


class ConnectError(Message):
    """Why a connection was refused; `data` after too many wrong keys."""

    message: str = Field(examples=["Invalid or missing API key"])
    data: ConnectErrorData | None = None


class ConnectSuccess(Message):
    """The greeting."""

    message: str
    clientId: str
    timestamp: str = IsoTime
    transport: Literal["websocket", "polling"]


class PnLUpdate(Message):
    """A whole snapshot: the newest at a subscription, one that was missed, or the next."""

    data: Snapshot
    timestamp: str = IsoTime
    source: Source


class ComponentsUpdate(Message):
    """The breakdown of the snapshot with the same `seq`."""

    data: Breakdown
    timestamp: str = IsoTime
    source: Source


class SubscribeAck(Message):
    """`seq` is the newest update; `recovered` says that nothing between `since` and it is missing."""

    ok: Literal[True]
    epoch: str
    seq: int = Field(ge=0)
    recovered: bool


class UnsubscribeAck(Message):
    ok: Literal[True]


class ErrorMessage(Message):
    """A `since` that is none, or too many messages."""

    message: str
    code: str = Field(examples=["bad_payload", "rate_limited"])


class RefusedAck(ErrorMessage):
    """The acknowledgement of what was not done: of an `error`, or of an unknown event (`unknown_event`)."""

    ok: Literal[False]


class Subscriptions(Message):
    """What a client is subscribed to; it brings the offset where a change of that brings no update."""

    topics: list[Literal["pnl", "components", "dashboard"]]


class StreamError(Message):
    """Updates have stopped; it comes once."""

    message: str
    timestamp: str = IsoTime


# The dashboard's flat message.


class Trend(Message):
    """One business day: the totals as they stood at its end, today's as they stand; USD."""

    date: str = Day
    revenue: float
    expenses: float
    net: float


class DashboardMessage(Message):
    """The sums beside the day before's last (on the first day the first complete ones), and 30 days; USD."""

    timestamp: str = IsoTime
    revenue: float
    expenses: float
    netPnL: float
    previousRevenue: float
    previousExpenses: float
    previousNetPnL: float
    trendsData: list[Trend]
    costBreakdown: list[CostEntry]
    agentAttribution: list[AgentEntry]
    epoch: str
    seq: int = Field(ge=0)


# The ledger feed; its times are ms since the epoch.


class Ledger(LedgerFigures):
    """The ledger with its time and its place in the sequence."""

    timestamp: int = Field(ge=0)
    epoch: str
    seq: int = Field(ge=0)


class LedgerDelta(Message):
    """What changed since the message with `prevSeq`, and the sums that it leads to; USD."""

    timestamp: int = Field(ge=0)
    netPnLDelta: float
    kalshiDelta: float
    costsDelta: float
    revenueDelta: float
    changePercent: float
    netPnL: float
    kalshiPnL: float
    totalCosts: float
    totalRevenue: float
    breakdown: LedgerParts
    seq: int = Field(ge=0)
    prevSeq: int = Field(ge=0)


class SnapshotMessage(Message):
    """The whole ledger: first, every 60 s, and after any gap."""

    type: Literal["snapshot"]
    data: Ledger
    timestamp: int = Field(ge=0)


class DeltaMessage(Message):
    """A change by a cent or more."""

    type: Literal["delta"]
    data: LedgerDelta
    timestamp: int = Field(ge=0)


class SnapshotEvent(Ledger):
    """A snapshot as an event: the ledger's fields stand beside the envelope too, for pages that read no envelope."""

    type: Literal["snapshot"]
    data: Ledger


class DeltaEvent(Ledger):
    """A delta as an event, with the whole ledger that it leads to beside the envelope."""

    type: Literal["delta"]
    data: LedgerDelta


class Auth(Message):
    """The key, as the first message of a client that gave none in the address."""

    type: Literal["auth"]
    apiKey: str


class Ping(Message):
    type: Literal["ping"]


class Pong(Message):
    type: Literal["pong"]
    timestamp: int = Field(ge=0)


class FeedError(Message):
    """What could not be understood; the third of them closes with 1008."""

    type: Literal["error"]
    message: str
