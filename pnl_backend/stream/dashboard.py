"""The dashboard feed: one flat message, with the days before it where a client needs them.

The first message to a client and the first after midnight carry 30 days of trends, the rest today's row alone; so
does whatever replaces messages that a client did not take in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

import orjson

from pnl_backend.domain.feed_views import dashboard_view, trend_row
from pnl_backend.domain.record import Record
from pnl_backend.domain.snapshot import Snapshot
from pnl_backend.domain.times import business_date, day_start
from pnl_backend.domain.views import Json, from_record
from pnl_backend.engine import FeedConnection, Message, Server
from pnl_backend.stream.hub import Hub, Publication
from pnl_backend.stream.topics import Origin

DAYS = 30


class DayClose(Protocol):
    """The totals as a business day ended, in cents."""

    @property
    def day(self) -> date: ...

    @property
    def revenue_cents(self) -> int: ...

    @property
    def expenses_cents(self) -> int: ...


class Days(Protocol):
    """What the dashboard asks of the store."""

    async def daily_closes(self, days: int) -> Sequence[DayClose]: ...

    async def last_before(self, at_ms: int) -> Record | None: ...


class Dashboard:
    """The topic: the newest snapshot beside the day before and the days before that.

    Attached to the hub ahead of those that send, it learns of a new day first.
    """

    name = "dashboard"
    event = "pnl-update"

    def __init__(self, days: Days, *, previous_day: Callable[[], Snapshot | None], zone: ZoneInfo) -> None:
        """`previous_day` is the last snapshot before the current business day."""
        self._days = days
        self._previous_day = previous_day
        self._zone = zone
        self._today: date | None = None
        self._turned: int | None = None
        self._read = False
        self._rows: list[tuple[date, Json]] = []
        self._before: dict[date, Snapshot | None] = {}

    async def publish(self, publication: Publication) -> None:
        """At the first snapshot of a business day, read how the days before it closed."""
        today = self._day(publication)
        if self._today is None or today > self._today:
            self._turned = None if self._today is None else publication.seq
            self._today = today
            self._read = False
        if not self._read:
            await self._read_days(today)

    async def prepare(self, newest: Publication) -> None:
        """Know the days before the first client comes."""
        self._today = self._day(newest)
        await self._read_days(self._today)

    async def stream_error(self) -> None:
        """Nothing to send."""

    def message(self, publication: Publication, source: Origin) -> Json:
        trends = [self._row(publication)]
        if source != "stream" or self.turns_day(publication):
            today = self._day(publication)
            trends = [row for day, row in self._rows if day < today][1 - DAYS :] + trends
        return dashboard_view(publication.snapshot, self._previous(publication), trends)

    def replace_key(self, publication: Publication) -> str | None:
        """The day's first message brings what the later ones leave out."""
        return None if self.turns_day(publication) else self.name

    def turns_day(self, publication: Publication) -> bool:
        """Whether it is the first of a business day."""
        return publication.seq == self._turned

    def _day(self, publication: Publication) -> date:
        return business_date(publication.record.at, self._zone)

    def _row(self, publication: Publication) -> Json:
        shown = publication.snapshot
        return trend_row(self._day(publication).isoformat(), shown.total_revenue, shown.total_expenses)

    def _previous(self, publication: Publication) -> Snapshot | None:
        """The day before's last snapshot; a replay may reach back into yesterday, which had a day before of its own."""
        day = self._day(publication)
        return self._previous_day() if day == self._today else self._before.get(day)

    async def _read_days(self, today: date) -> None:
        closes = await self._days.daily_closes(DAYS)
        self._rows = [(close.day, _close(close)) for close in closes]
        self._before = {}
        for day in [close.day for close in closes if close.day < today][-1:]:
            record = await self._days.last_before(day_start(day, self._zone))
            self._before[day] = from_record(record) if record else None
        self._read = True


class DashboardFeed:
    """The hub's sink for plain WebSockets that read the dashboard message."""

    def __init__(self, server: Server, hub: Hub, dashboard: Dashboard) -> None:
        self._server = server
        self._hub = hub
        self._dashboard = dashboard
        self._followers: dict[FeedConnection, int] = {}
        self._whole: tuple[Publication, Message] | None = None

    def join(self, connection: FeedConnection) -> None:
        newest = self._hub.latest
        connection.send(self._whole_of(newest))
        self._followers[connection] = newest.seq

    def leave(self, connection: FeedConnection) -> None:
        self._followers.pop(connection, None)

    async def publish(self, publication: Publication) -> None:
        due = [connection for connection, seen in self._followers.items() if seen < publication.seq]
        if not due:
            return
        self._followers.update(dict.fromkeys(due, publication.seq))
        whole = self._whole_of(publication)
        message = whole
        if not self._dashboard.turns_day(publication):
            message = _text(self._dashboard.message(publication, "stream"))
        broadcast = self._server.publish(due, message, behind=whole)
        if broadcast.done is not None:
            await broadcast.done

    async def stream_error(self) -> None:
        """This feed has no message for it."""

    def _whole_of(self, publication: Publication) -> Message:
        if self._whole is None or self._whole[0] is not publication:
            message = self._dashboard.message(publication, "initial")
            self._whole = publication, _text(message, replace_key=self._dashboard.name)
        return self._whole[1]


def _close(close: DayClose) -> Json:
    return trend_row(close.day.isoformat(), Decimal(close.revenue_cents) / 100, Decimal(close.expenses_cents) / 100)


def _text(message: Json, *, replace_key: str | None = None) -> Message:
    return Message.text(orjson.dumps(message).decode(), replace_key=replace_key)
