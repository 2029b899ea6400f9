"""Anthropic's three organisation reports: the analytics cost report, and the older cost and usage reports."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from pnl_backend.sources.simulated.paging import BadParameter, whole
from pnl_backend.sources.simulated.units import DAY, HOUR, ZERO
from pnl_backend.sources.simulated.upstream import Upstream

from .organizations import Area, OrganizationKey, Organizations
from .parameters import ORDERS, choice, groups_by, ordered_page, report_page, time_range
from .spend import (
    CACHE_1H,
    CACHE_5M,
    CACHE_READ,
    INPUT,
    LIST_FACTOR,
    OUTPUT,
    WEB_SEARCHES,
    CostLine,
    Counters,
    Spend,
    Stream,
    cost_lines,
)

BETA = "analytics-usage-cost-2026-08-24"
VERSION = "2023-06-01"
DEFAULT_WORKSPACE = "wrkspc_01Default"

_ANALYTICS_FROM = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
_ANALYTICS_DAYS = 365
_WIDTHS = {"1d": DAY, "1h": HOUR, "1m": 60}
_COST_GROUPS = {"model", "workspace_id", "api_key_id", "service_tier", "cost_type", "token_type"}
_LEGACY_COST_GROUPS = {"workspace_id", "description"}
_USAGE_GROUPS = {"model", "workspace_id", "api_key_id", "service_tier", "context_window"}
_USAGE_LIMITS = {"1d": (7, 31), "1h": (24, 168), "1m": (60, 1440)}
Answer = Callable[[web.Request, Spend], Awaitable[web.Response]]


class AnthropicApi:
    """Cost and usage of one organisation; which key may ask what is as in the public documentation."""

    def __init__(self, organizations: Organizations, upstream: Upstream) -> None:
        self._organizations = organizations
        self._upstream = upstream
        self._ordered = 0
        base = "/v1/organizations"
        upstream.add(f"{base}/analytics/cost", self._guarded(self._analytics_cost, "analytics"))
        upstream.add(f"{base}/cost_report", self._guarded(self._cost_report, "legacy"))
        upstream.add(f"{base}/usage_report/messages", self._guarded(self._usage_report, "legacy"))

    def _guarded(self, handler: Answer, area: Area) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            key = self._organizations.of(request.headers.get("x-api-key", ""))
            if key is None or key.kind == "plain":
                return _error(401, "authentication_error", "invalid x-api-key")
            answer = _refusal(request, key, area)
            try:
                answer = answer or await handler(request, self._organizations.spend(key.organization_id))
            except BadParameter as error:
                answer = _error(400, "invalid_request_error", str(error))
            answer.headers["anthropic-organization-id"] = key.organization_id
            answer.headers.setdefault("request-id", _request_id())
            return answer

        return guarded

    async def _analytics_cost(self, request: web.Request, spend: Spend) -> web.Response:
        now = self._upstream.now(request)
        width = choice(request, "time_bucket_width", tuple(_WIDTHS), "1d")
        order = choice(request, "order_by", ORDERS, "amount")
        start, end = time_range(request, _WIDTHS[width], needs_end=True)
        if start < int(now) // DAY * DAY - _ANALYTICS_DAYS * DAY:
            raise BadParameter(f"starting_at: must be within the last {_ANALYTICS_DAYS} days")
        if start < _ANALYTICS_FROM:
            raise BadParameter("starting_at: must not be before 2026-01-01")
        most, words = (DAY, "24 hours") if width == "1m" else (31 * DAY, "31 days")
        if end - start > most:
            raise BadParameter(f"ending_at: the range must not exceed {words}")
        groups = groups_by(request, _COST_GROUPS, most=5)
        rows: list[dict[str, Any]] = []
        for at in range(start, end, _WIDTHS[width]):
            rows += _analytics_bucket(_lines(spend, at, _WIDTHS[width], now), at, _WIDTHS[width], groups)
        limit = whole(request.query.get("limit"), "limit", default=20, low=1, high=1000)
        self._ordered += 1
        page = ordered_page(request, rows, limit, order=order, turn=self._ordered)
        return web.json_response({**page, "data_refreshed_at": _iso(now)})

    async def _cost_report(self, request: web.Request, spend: Spend) -> web.Response:
        now = self._upstream.now(request)
        choice(request, "bucket_width", ("1d",), "1d")
        start, end = time_range(request, DAY, now=now)
        groups = groups_by(request, _LEGACY_COST_GROUPS, most=2)
        limit = whole(request.query.get("limit"), "limit", default=7, low=1, high=31)
        page = report_page(request, range(start, end, DAY), limit)
        page["data"] = [
            {
                "starting_at": _iso(at),
                "ending_at": _iso(at + DAY),
                "results": _legacy_costs(_lines(spend, at, DAY, now), groups),
            }
            for at in page["data"]
        ]
        return web.json_response(page)

    async def _usage_report(self, request: web.Request, spend: Spend) -> web.Response:
        now = self._upstream.now(request)
        width = choice(request, "bucket_width", tuple(_WIDTHS), "1d")
        start, end = time_range(request, _WIDTHS[width], now=now)
        groups = groups_by(request, _USAGE_GROUPS, most=5)
        default, most = _USAGE_LIMITS[width]
        limit = whole(request.query.get("limit"), "limit", default=default, low=1, high=most)
        seconds = _WIDTHS[width]
        page = report_page(request, range(start, end, seconds), limit)
        page["data"] = [
            {
                "starting_at": _iso(at),
                "ending_at": _iso(at + seconds),
                "results": _usage_results(spend.bucket(at, seconds, now=now), groups),
            }
            for at in page["data"]
        ]
        return web.json_response(page)


def anthropic_error(status: int, retry_after: float | None) -> web.Response:
    """Anthropic's error envelope for a status; 429 always has Retry-After."""
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    if status == 429 and retry_after is None:
        retry_after = 1
    kind = kinds.get(status, "api_error")
    return _error(status, kind, kind.replace("_", " "), retry_after=retry_after)


def _error(status: int, kind: str, message: str, *, retry_after: float | None = None) -> web.Response:
    request_id = _request_id()
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    headers = {"request-id": request_id}
    if retry_after is not None:
        headers["retry-after"] = f"{retry_after:g}"
    return web.json_response(body, status=status, headers=headers)


def _request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


def _refusal(request: web.Request, key: OrganizationKey, area: Area) -> web.Response | None:
    if request.headers.get("anthropic-version") != VERSION:
        return _error(400, "invalid_request_error", "anthropic-version: header is required")
    if not key.may_read(area):
        return _error(403, "permission_error", f"this key may not read {area} reports")
    if area == "analytics" and BETA not in request.headers.get("anthropic-beta", "").split(","):
        return _error(400, "invalid_request_error", f"anthropic-beta: {BETA} is required")
    return None


def _lines(spend: Spend, at: int, width: int, now: float) -> list[CostLine]:
    usage = spend.bucket(at, width, now=now)
    return [
        *(line for stream, counters in usage.items() for line in cost_lines(stream, counters)),
        *spend.credit_lines(at, width),
    ]


def _analytics_bucket(lines: list[CostLine], at: int, width: int, groups: list[str]) -> list[dict[str, Any]]:
    summed: dict[tuple[str | None, ...], tuple[Decimal, int]] = {}
    for line in lines:
        key = tuple(_of_line(line, name) for name in groups)
        cents, requests = summed.get(key, (ZERO, 0))
        summed[key] = (cents + line.cents, requests + line.requests)
    return [
        {
            "starting_at": _iso(at),
            "ending_at": _iso(at + width),
            "group": dict(zip(groups, key, strict=True)),
            "cost": {
                "amount": _cents(cents),
                "list_amount": _cents(cents * LIST_FACTOR),
                "currency": "USD",
                "requests": requests,
            },
        }
        for key, (cents, requests) in summed.items()
    ]


def _legacy_costs(lines: list[CostLine], groups: list[str]) -> list[dict[str, Any]]:
    summed: dict[tuple[Any, ...], Decimal] = {}
    by_workspace, described = "workspace_id" in groups, "description" in groups
    for line in lines:
        workspace = _legacy_workspace(line.stream.workspace_id) if by_workspace else None
        what = _description(line) if described else (None,) * 5
        summed[(workspace, *what)] = summed.get((workspace, *what), ZERO) + line.cents
    return [
        {
            "amount": _cents(cents),
            "currency": "USD",
            "workspace_id": workspace,
            "description": text,
            "cost_type": cost_type,
            "token_type": token_type,
            "model": model,
            "service_tier": tier,
        }
        for (workspace, text, cost_type, token_type, model, tier), cents in summed.items()
    ]


def _of_line(line: CostLine, name: str) -> str | None:
    own = {"model": line.model, "cost_type": line.cost_type, "token_type": line.token_type}
    if name in own:
        return own[name]
    value: str | None = getattr(line.stream, name)
    return value


def _legacy_workspace(workspace: str) -> str | None:
    return None if workspace == DEFAULT_WORKSPACE else workspace


def _description(line: CostLine) -> tuple[str | None, ...]:
    text = line.cost_type.replace("_", " ").title()
    if line.model is not None and line.token_type is not None:
        text = f"{line.model} usage - {line.token_type}"
    tier = line.stream.service_tier if line.cost_type == "tokens" else None
    return text, line.cost_type, line.token_type, line.model, tier


def _usage_results(usage: dict[Stream, Counters], groups: list[str]) -> list[dict[str, Any]]:
    summed: dict[tuple[str | None, ...], Counters] = {}
    for stream, counters in usage.items():
        # Code execution is missing from this report.
        if stream.model is None:
            continue
        own = {
            "model": stream.model,
            "workspace_id": _legacy_workspace(stream.workspace_id),
            "api_key_id": stream.api_key_id,
            "service_tier": stream.service_tier,
            "context_window": "0-200k",
        }
        key = tuple(own[name] if name in groups else None for name in own)
        held = summed.setdefault(key, [0] * 8)
        for index, count in enumerate(counters):
            held[index] += count
    return [
        {
            "uncached_input_tokens": held[INPUT],
            "cache_creation": {
                "ephemeral_5m_input_tokens": held[CACHE_5M],
                "ephemeral_1h_input_tokens": held[CACHE_1H],
            },
            "cache_read_input_tokens": held[CACHE_READ],
            "output_tokens": held[OUTPUT],
            "server_tool_use": {"web_search_requests": held[WEB_SEARCHES]},
            "model": model,
            "workspace_id": workspace,
            "api_key_id": key_id,
            "service_tier": tier,
            "context_window": window,
        }
        for (model, workspace, key_id, tier, window), held in summed.items()
    ]


def _cents(cents: Decimal) -> str:
    """A decimal string in cents, never in exponent form."""
    return format(cents.quantize(Decimal("0.01")) if cents == cents.quantize(Decimal("0.01")) else cents, "f")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
