"""The current P&L, its breakdown, its history and its export."""

from __future__ import annotations

from contextlib import aclosing
from typing import TypeVar, cast, get_args
from zoneinfo import ZoneInfo

from aiohttp import hdrs, web

from pnl_backend.domain.times import HOUR_MS, LAST_NAMED_DAY
from pnl_backend.errors import PnLError
from pnl_backend.http.envelope import success
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.params import ChoiceParam, IntParam, LimitParam
from pnl_backend.http.ports import Ports
from pnl_backend.http.routing import Answer, Route
from pnl_backend.wire import models
from pnl_backend.wire.history import (
    Format,
    HistoryRow,
    RangeHistory,
    Resolution,
    SnapshotHistory,
    encoded,
    range_json,
    snapshots_json,
)
from pnl_backend.wire.ledger_feed import LedgerFigures
from pnl_backend.wire.models import Period
from pnl_backend.wire.refusals import BadRequest

T = TypeVar("T")

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100

PERIOD = ChoiceParam("period", "Since the beginning, the month's, or the business day's.", get_args(Period), "all")
LIMIT = LimitParam(
    "limit", f"How many of the newest: {DEFAULT_LIMIT} snapshots without it, {MAX_LIMIT} at most.", MAX_LIMIT
)
FROM = IntParam("from", "Start of the range, ms since the epoch; an hour before its end without it.", 0, LAST_NAMED_DAY)
TO = IntParam("to", "End of the range, ms since the epoch; now without it.", 0, LAST_NAMED_DAY)
RESOLUTION = ChoiceParam("resolution", "What one row covers.", get_args(Resolution), "1m")
FORMAT = ChoiceParam("format", "The file's form.", get_args(Format), "csv")


class NothingYet(PnLError):
    """Nothing was published since the start."""

    code = "not_ready"
    status = 503
    retryable = True


class PnlRoutes:
    """Serves the newest snapshot and the ledger."""

    def __init__(self, ports: Ports, options: HttpOptions) -> None:
        self._ports = ports
        self._options = options

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET", path="/api/pnl/current", handler=self.current, tag="P&L",
                summary="The newest snapshot, for a period", params=(PERIOD,),
                description="`data` is the snapshot; the fields of the ledger feed are beside it, for clients that do "
                "not read `data`. A period's figures are the change since the last complete snapshot before it. Where "
                "there is none they are `partial: true` and begin with the first complete one. `since` is when the "
                "figures begin.",
                answers=(Answer("The snapshot, and beside it the ledger.", models.Snapshot, beside=LedgerFigures),),
                errors=(400, 503),
            ),
            Route(
                method="GET", path="/api/pnl/breakdown", handler=self.breakdown, tag="P&L",
                summary="The newest snapshot's components, costs and agents",
                answers=(Answer("The breakdown.", models.Breakdown),), errors=(503,),
            ),
            Route(
                method="GET", path="/api/pnl/history", handler=self.history, tag="P&L",
                summary="The newest snapshots, or the rows of a range",
                description="Without `from`, `to` and `resolution` the newest snapshots, oldest first. With one of "
                "them the range in rows of open, high, low and close. Rows of `1d` and `1w` have `date`, the business "
                "day that they begin with; a week begins on Monday. Imported rows have `imported: true`. A `limit` "
                f"above {MAX_LIMIT} is reduced to {MAX_LIMIT}, and the answer has `limited: true`.",
                params=(LIMIT, FROM, TO, RESOLUTION), answers=(
                    Answer("Snapshots, or the rows of the range that was asked for.", SnapshotHistory),
                    Answer("Rows.", RangeHistory),
                ), errors=(400, 503),
            ),
            Route(
                method="GET", path="/api/pnl/export", handler=self.export, tag="P&L",
                summary="The rows of a range as a file", params=(FROM, TO, RESOLUTION, FORMAT),
                description="The rows of `/api/pnl/history`, however many there are. The last columns of CSV are the "
                "marks.",
                answers=(
                    Answer("The rows, a line each.", content_type="text/csv"),
                    Answer("A list of the rows.", HistoryRow, enveloped=False, many=True),
                ), errors=(400, 503),
            ),
        ]  # fmt: skip

    async def current(self, request: web.Request) -> web.StreamResponse:
        period = cast(Period, PERIOD.read(request))
        latest = self._ports.latest
        if period == "all":
            data, figures = _published(latest.json("snapshot")), _published(latest.json("figures"))
        else:
            data, figures = _published(await self._ports.periods.snapshot(period))
        return success(data, self._options.now_ms(), beside=figures)

    async def breakdown(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return success(_published(self._ports.latest.json("breakdown")), self._options.now_ms())

    async def history(self, request: web.Request) -> web.StreamResponse:
        now = self._options.now_ms()
        limit, limited = LIMIT.read(request)
        if request.query.keys() & {FROM.name, TO.name, RESOLUTION.name}:
            start, end, resolution = self._range(request)
            rows = await self._ports.history.history(start, end, resolution, limit=limit)
            days_of, restatements = self._days_of(resolution), self._ports.history.restatements
            return success(range_json(rows, now, limited=limited, days_of=days_of, restatements=restatements), now)
        records = await self._ports.history.newest(limit or DEFAULT_LIMIT)
        restatements = self._ports.history.restatements
        return success(snapshots_json(records, now, limited=limited, restatements=restatements), now)

    async def export(self, request: web.Request) -> web.StreamResponse:
        start, end, resolution = self._range(request)
        kind = cast(Format, FORMAT.read(request))
        batches = self._ports.history.export(start, end, resolution)
        async with aclosing(encoded(batches, kind, days_of=self._days_of(resolution))) as chunks:
            first = await anext(chunks)  # until the head is sent, a ledger that cannot be read is an ordinary failure
            response = web.StreamResponse()
            response.content_type = "text/csv" if kind == "csv" else "application/json"
            response.charset = "utf-8"
            name = f"pnl-{resolution}-{start}-{end}.{kind}"
            response.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{name}"'
            await response.prepare(request)
            if request.method == hdrs.METH_HEAD:
                return response
            await response.write(first)
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
        return response

    def _days_of(self, resolution: Resolution) -> ZoneInfo | None:
        """The business zone, for resolutions whose rows begin with a business day."""
        return self._options.business_zone if resolution in ("1d", "1w") else None

    def _range(self, request: web.Request) -> tuple[int, int, Resolution]:
        given_from, given_to = FROM.read(request), TO.read(request)
        resolution = cast(Resolution, RESOLUTION.read(request))
        end = self._options.now_ms() if given_to is None else given_to
        start = max(0, end - HOUR_MS) if given_from is None else given_from
        if start > end:
            raise BadRequest("from must not be later than to")
        return start, end, resolution


def _published(data: T | None) -> T:
    if data is None:
        raise NothingYet("Nothing was published yet")
    return data
