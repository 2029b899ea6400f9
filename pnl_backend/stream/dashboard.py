"""The dashboard feed: one flat message, whole each time: the sums, what they are compared with, 30 days of trends.

Clients replace what they had by each message. A ledger younger than 30 days sends the days that it has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence, Set
from datetime import date
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

from loguru import logger
from msgspec.structs import replace

from pnl_backend.domain.classic import CLASSIC
from pnl_backend.domain.readings import SourceName
from pnl_backend.domain.record import DayClose, Record
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import business_date, day_start
from pnl_backend.engine import EncodedJson, FeedConnection, Message, Server
from pnl_backend.errors import StoreError
from pnl_backend.stream.hub import Hub, Publication
from pnl_backend.stream.topics import Newest
from pnl_backend.wire.dashboard_feed import DashboardMessage, Trend, dashboard_message, trend
from pnl_backend.wire.socket_messages import Origin
from pnl_backend.wire.views import from_record

DAYS = 30


class Days(Protocol):
    """What the dashboard asks of the store."""

    async def daily_closes(self, days: int) -> Sequence[DayClose]: ...

    async def last_complete_before(self, at_ms: int, configured: Collection[str]) -> Record | None: ...

    async def first_complete(self, from_ms: int, configured: Collection[str]) -> Record | None: ...

    @property
    def restated_to(self) -> int: ...


class Dashboard:
    """The topic: the newest snapshot beside the day before and the days before that.

    Attached to the hub before the sinks that send, so that a new day is handled first.
    """

    name = "dashboard"
    event = "pnl-update"

    def __init__(
        self,
        days: Days,
        *,
        previous_day: Callable[[], Snapshot | None],
        zone: ZoneInfo,
        configured: Set[SourceName] = frozenset(CLASSIC),
    ) -> None:
        """`previous_day` is the last snapshot before the current business day with all `configured` sources in it."""
        self._days = days
        self._previous_day = previous_day
        self._zone = zone
        self._configured = configured
        self._today: date | None = None
        self._first: Snapshot | None = None
        self._complete: Snapshot | None = None
        self._restated_to = 0
        self._read = False
        self._failed = False
        self._rows: list[tuple[date, Trend]] = []
        self._newest = Newest()
        self._before: dict[date, Snapshot | None] = {}

    async def publish(self, publication: Publication) -> None:
        """At the first snapshot of a business day, read how the days before it closed."""
        today = self._day(publication)
        if self._today is None or today > self._today:
            self._today = today
            self._read = False
        if self._days.restated_to != self._restated_to:
            self._read = False
            self._first = self._complete = None
        if not self._read:
            await self._tried(self._read_days(today))
        if publication.snapshot.is_complete(self._configured):
            self._first = self._first or publication.snapshot
            self._complete = publication.snapshot

    async def prepare(self, newest: Publication) -> None:
        """Know the days before the first client comes."""
        self._today = self._day(newest)
        await self._tried(self._restore(newest, self._today))

    async def _restore(self, newest: Publication, today: date) -> None:
        await self._read_days(today)
        first = await self._days.first_complete(day_start(today, self._zone), self._configured)
        self._first = from_record(first) if first else None
        last = await self._days.last_complete_before(newest.record.at + 1, self._configured) if first else None
        self._complete = from_record(last) if last else None

    async def stream_error(self) -> None:
        """Nothing to send."""

    def message(self, publication: Publication, source: Origin) -> EncodedJson:  # noqa: ARG002 - the same for all
        """The message as JSON, encoded once for every namespace and feed."""
        previous = self._previous(publication)
        return self._newest.get(lambda: self._message(publication, previous), publication, previous, len(self._rows))

    def _message(self, publication: Publication, previous: Snapshot) -> DashboardMessage:
        shown, today = publication.snapshot, self._day(publication)
        before = [row for day, row in self._rows if day < today][1 - DAYS :]
        trends = [*before, self._of_today(shown, today, before)]
        return dashboard_message(shown, previous, trends, same_day=business_date(previous.at, self._zone) == today)

    def _of_today(self, shown: Snapshot, today: date, before: Sequence[Trend]) -> Trend:
        """Today's totals; those of the last complete snapshot while this one lacks a source, else the day before's."""
        if shown.is_complete(self._configured):
            return trend(today, shown.total_revenue, shown.total_expenses)
        last = self._complete
        if last is not None and business_date(last.at, self._zone) == today:
            return trend(today, last.total_revenue, last.total_expenses, complete=False)
        if before:
            return replace(before[-1], date=today.isoformat(), complete=False)
        return trend(today, shown.total_revenue, shown.total_expenses, complete=False)

    def replace_key(self, publication: Publication) -> str | None:  # noqa: ARG002 - every message is whole
        return self.name

    def _day(self, publication: Publication) -> date:
        return business_date(publication.record.at, self._zone)

    def _previous(self, publication: Publication) -> Snapshot:
        """The day before's last complete snapshot; a replay may reach into yesterday, which had its own day before.

        Where no day before has one, today's first complete snapshot, and before there is one the snapshot itself:
        clients divide by what they compare with; zeros, or sums that lack a source, would show as an endless change.
        """
        day = self._day(publication)
        before = self._previous_day() if day == self._today else self._before.get(day)
        return before or self._first or publication.snapshot

    async def _tried(self, reading: Awaitable[None]) -> None:
        """Await a read of the ledger; where it cannot be read, what was read earlier stays until the next update."""
        try:
            await reading
        except StoreError as error:
            self._read = False
            if not self._failed:
                logger.warning("the days before cannot be read, they are missing in the dashboard's trends: {}", error)
            self._failed = True
        else:
            self._failed = False

    async def _read_days(self, today: date) -> None:
        closes = await self._days.daily_closes(DAYS)
        self._rows = [(close.day, _close(close)) for close in closes]
        self._before = {}
        for day in [close.day for close in closes if close.day < today][-1:]:
            record = await self._days.last_complete_before(day_start(day, self._zone), self._configured)
            self._before[day] = from_record(record) if record else None
        self._restated_to = self._days.restated_to
        self._read = True


class DashboardFeed:
    """The hub's sink for plain WebSockets that read the dashboard message."""

    def __init__(self, server: Server, hub: Hub, dashboard: Dashboard) -> None:
        self._server = server
        self._hub = hub
        self._dashboard = dashboard
        self._followers: dict[FeedConnection, int] = {}
        self._newest: tuple[Publication, Message] | None = None

    def join(self, connection: FeedConnection) -> None:
        newest = self._hub.latest
        connection.send(self._message_of(newest))
        self._followers[connection] = newest.seq

    def leave(self, connection: FeedConnection) -> None:
        self._followers.pop(connection, None)

    async def publish(self, publication: Publication) -> None:
        due = [connection for connection, seen in self._followers.items() if seen < publication.seq]
        if not due:
            return
        self._followers.update(dict.fromkeys(due, publication.seq))
        broadcast = self._server.publish(due, self._message_of(publication))
        if broadcast.done is not None:
            await broadcast.done

    async def stream_error(self) -> None:
        """This feed has no message for it."""

    def _message_of(self, publication: Publication) -> Message:
        """Encoded once for everybody."""
        if self._newest is None or self._newest[0] is not publication:
            text = self._dashboard.message(publication, "stream")
            self._newest = publication, Message.text(text, replace_key=self._dashboard.name)
        return self._newest[1]


def _close(close: DayClose) -> Trend:
    revenue, expenses = Decimal(close.revenue_cents) / 100, Decimal(close.expenses_cents) / 100
    return trend(close.day, revenue, expenses, restated=close.restated)
