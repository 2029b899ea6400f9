"""Query parameters of Anthropic's reports: choices, groups, time ranges and pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from pnl_backend.sources.simulated.paging import BadParameter, Key, page, read_cursor, write_cursor

ORDERS = ("amount", "time")


def choice(request: web.Request, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = request.query.get(name, default)
    if value not in allowed:
        raise BadParameter(f"{name}: must be one of {', '.join(allowed)}")
    return value


def groups_by(request: web.Request, allowed: set[str], *, most: int) -> list[str]:
    groups = list(dict.fromkeys(request.query.getall("group_by[]", [])))
    for name in groups:
        if name not in allowed:
            raise BadParameter(f"group_by: {name} is not one of {', '.join(sorted(allowed))}")
    if len(groups) > most:
        raise BadParameter(f"group_by: at most {most}")
    return groups


def time_range(
    request: web.Request, width: int, *, needs_end: bool = False, now: float | None = None
) -> tuple[int, int]:
    """The buckets' first start and last end, UTC seconds; the start goes down to its bucket."""
    start = _instant(request, "starting_at")
    if start is None:
        raise BadParameter("starting_at: field required")
    end = _instant(request, "ending_at")
    if end is None:
        if needs_end or now is None:
            raise BadParameter("ending_at: field required")
        end = int(now) + 1
    if end <= start:
        raise BadParameter("ending_at: must be after starting_at")
    return start // width * width, -(-end // width) * width


def _instant(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadParameter(f"{name}: not an RFC 3339 time") from None
    if at.tzinfo is None:
        raise BadParameter(f"{name}: needs a time zone")
    return int(at.timestamp())


def report_page(request: web.Request, rows: Sequence[Any], limit: int) -> dict[str, Any]:
    start = 0
    token = request.query.get("page")
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token.removeprefix("page_").encode()))
        except (binascii.Error, ValueError):
            raise BadParameter("page: not a page of this report") from None
    more = start + limit < len(rows)
    following = "page_" + base64.urlsafe_b64encode(str(start + limit).encode()).decode()
    return {"data": rows[start : start + limit], "has_more": more, "next_page": following if more else None}


def ordered_page(
    request: web.Request, rows: list[dict[str, Any]], limit: int, *, order: str, turn: int
) -> dict[str, Any]:
    """One page of cost rows by amount or by time.

    By time a page goes on after the last row of the one before, so no row is lost or comes twice. By amount it goes on
    at a place in a list that is sorted anew for each page, while amounts grow and equal ones change places (`turn`).
    """
    token, scope = request.query.get("page", "").removeprefix("page_"), f"rows by {order}"
    last = read_cursor(token, scope) if token else None
    if token and last is None:
        raise BadParameter("page: not a page of this report")
    if order == "time":
        shown, following = page(sorted(rows, key=_by_time), last, limit, key=_by_time, scope=scope)
    else:
        start = int(last[0]) if last else 0
        ordered = sorted(rows[:: -1 if turn % 2 else 1], key=lambda row: -Decimal(row["cost"]["amount"]))
        shown = ordered[start : start + limit]
        following = write_cursor(scope, (start + limit,)) if start + limit < len(ordered) else ""
    return {"data": shown, "has_more": bool(following), "next_page": f"page_{following}" if following else None}


def _by_time(row: dict[str, Any]) -> Key:
    return row["starting_at"], *(str(value) for value in row["group"].values())
