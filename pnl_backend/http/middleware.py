"""The middleware of every request: id, key, limit, errors, headers, access log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import hdrs, web
from multidict import CIMultiDict, istr

from pnl_backend.access.addresses import ClientAddresses
from pnl_backend.access.cors import check_preflight
from pnl_backend.access.keys import Grant, presented_key
from pnl_backend.access.peer import client_of, is_loopback
from pnl_backend.access.ratelimit import Decision, RateLimiter
from pnl_backend.access.refusals import Forbidden, RateLimited
from pnl_backend.errors import PnLError
from pnl_backend.http.accesslog import AccessLog
from pnl_backend.http.failures import Failures
from pnl_backend.http.headers import HSTS, NO_STORE, header_lines, security_headers
from pnl_backend.http.options import HttpOptions, SharedLimit
from pnl_backend.http.request_ids import new_request_id
from pnl_backend.http.response import CompleteResponse
from pnl_backend.http.routing import Access, Guard, Handler, Route


@dataclass(slots=True)
class RequestInfo:
    """What the middleware knows about a request; `grant` is None if no key was needed, or none was valid.

    `started` is the response that the handler itself prepared, while the handler runs: a longer reference would be a
    cycle of request and response.
    """

    request_id: str
    address: str
    secure: bool
    grant: Grant | None = None
    decision: Decision | None = None
    handling: bool = True
    started: web.StreamResponse | None = None


INFO = web.RequestKey("info", RequestInfo)

_X_REQUEST_ID = istr("X-Request-ID")
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_DEFAULTS: dict[str, str] = {hdrs.CACHE_CONTROL: NO_STORE, hdrs.VARY: hdrs.ORIGIN}
"""For responses without a Cache-Control of their own."""
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
_PREFLIGHT = Guard("public", limited=False)
_UNROUTED = Guard("public", limited=True)  # 404 and 405 reveal nothing beyond the public description
_OTHER = Guard("read", limited=True)


class Gate:
    """The middleware and the header hook of one application.

    Routes that were added elsewhere need a read key, unless their path is passed through.
    """

    def __init__(self, routes: Iterable[Route], options: HttpOptions) -> None:
        self._guards: dict[Handler, Guard] = {route.handler: route.guard for route in routes}
        self._options = options
        self.access_log = AccessLog()
        self._addresses = ClientAddresses(options.trusted_proxies)
        self._failures = Failures(production=options.production)
        self._observe = options.observe
        self._limiter = None
        if options.rate_limit_per_minute:
            self._limiter = RateLimiter(
                options.rate_limit_per_minute, clients=options.rate_limit_clients, clock=options.monotonic
            )
        self._headers = CIMultiDict(security_headers(options.connect_sources))
        if options.production:
            self._headers[hdrs.STRICT_TRANSPORT_SECURITY] = HSTS
        self._lines = header_lines({**self._headers, **_DEFAULTS})

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._is_elsewhere(request):
            return await handler(request)
        start = time.perf_counter()
        info = request[INFO] = RequestInfo(_request_id(request), *client_of(request, self._addresses))
        status, size = 499, None  # logged if the client disconnects before the response
        try:
            try:
                self._admit(request, info)
                if info.decision is not None and self._options.shared_limit is not None:
                    await self._share(info, self._options.shared_limit)
                response = await handler(request)
            except Exception as error:
                response = self._recover(request, info, error)
                # Frames of the traceback refer to the error: the cycle would hold them and the request until the
                # garbage collector runs.
                error.__traceback__ = None
            status = response.status
            if isinstance(response, CompleteResponse):
                size = len(response.body)
                response.common_fields = self._common_fields(info)
            else:
                size = response.content_length
        finally:
            info.handling, info.started = False, None
            seconds = time.perf_counter() - start
            if self._options.access_log:
                self.access_log.add(
                    request, address=info.address, status=status, size=size, seconds=seconds, request_id=info.request_id
                )
            if self._observe is not None:
                self._observe(_method(request), _pattern(request), status, seconds)
        return response

    async def on_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers of every response, streams and failures included."""
        info = request.get(INFO)
        if info is not None and info.handling:
            info.started = response
        headers = response.headers
        headers.pop(hdrs.SERVER, None)
        if self._is_elsewhere(request):
            return
        headers.update(self._headers)
        for name, value in _DEFAULTS.items():
            headers.setdefault(name, value)
        if info is not None:
            headers[_X_REQUEST_ID] = info.request_id
            headers.update(self._further_fields(info))
        elif request.secure:
            headers[hdrs.STRICT_TRANSPORT_SECURITY] = HSTS

    def _common_fields(self, info: RequestInfo) -> str:
        """The header lines that `on_prepare` adds to a response without headers of its own."""
        lines = f"{self._lines}{_X_REQUEST_ID}: {info.request_id}\r\n"
        if info.decision is None and not info.secure:
            return lines
        return lines + header_lines(self._further_fields(info))

    def _further_fields(self, info: RequestInfo) -> dict[str, str]:
        """The headers that depend on the request."""
        fields = {} if info.decision is None else info.decision.headers()
        if info.secure and not self._options.production:  # in production every response has it
            fields[hdrs.STRICT_TRANSPORT_SECURITY] = HSTS
        return fields

    def _is_elsewhere(self, request: web.Request) -> bool:
        """Whether its handler does its own authentication, limits and CORS."""
        return request.path.startswith(self._options.passthrough) and request.match_info.http_exception is None

    def _recover(self, request: web.Request, info: RequestInfo, error: Exception) -> web.StreamResponse:
        """The failure response, or the aborted response if its head has been sent already."""
        if info.started is None:
            return self._failures.answer(error, request_id=info.request_id, now_ms=self._options.now_ms())
        if not isinstance(error, ConnectionError):
            self._failures.log(error, info.request_id)
        if request.transport is not None:  # only a closed connection can show that the body is incomplete
            request.transport.abort()
        return info.started

    def _admit(self, request: web.Request, info: RequestInfo) -> None:
        """Count the request, then check its key; raises Forbidden, Unauthorized or RateLimited."""
        guard = self._guard(request)
        denied: PnLError | None = None
        digest = b""
        if guard.access != "public":
            try:
                grant = info.grant = self._check(request, guard.access, info.address)
                digest = grant.digest
            except PnLError as error:
                denied = None if guard.access == "optional" else error
        if self._limiter is not None and guard.limited:
            decision = info.decision = self._limiter.take(digest, info.address)
            if not decision.admitted:
                raise RateLimited(decision.retry_after)
        if denied is not None:
            raise denied

    async def _share(self, info: RequestInfo, take: SharedLimit) -> None:
        """Count the request on all nodes together; where that is not possible this node's count is what there is."""
        digest = b"" if info.grant is None else info.grant.digest
        decision = await take(digest, info.address)
        if decision is not None:
            info.decision = decision
            if not decision.admitted:
                raise RateLimited(decision.retry_after)

    def _check(self, request: web.Request, access: Access, address: str) -> Grant:
        if access == "metrics" and self._options.metrics_access == "loopback":
            if is_loopback(request, self._addresses):
                return Grant(b"", frozenset({"read"}))
            raise Forbidden("Metrics are read from this machine only")
        key = presented_key(request.headers, request.query if request.query_string else {})
        return self._options.authenticator.check(key, address, scope="admin" if access == "admin" else "read")

    def _guard(self, request: web.Request) -> Guard:
        match = request.match_info
        if match.http_exception is not None:
            return _UNROUTED
        if request.method == hdrs.METH_OPTIONS:
            check_preflight(request)
            return _PREFLIGHT
        return self._guards.get(match.handler, _OTHER)


def _method(request: web.Request) -> str:
    """The method, if the server has it, else a fixed label: clients can send any text."""
    return request.method if request.method in _METHODS else "other"


def _pattern(request: web.Request) -> str:
    """The route's pattern; `other` for a path without a route."""
    resource = request.match_info.route.resource
    return "other" if resource is None else resource.canonical


def _request_id(request: web.Request) -> str:
    """The client's id if it is short and safe for a log line; else a new one."""
    given = request.headers.get(_X_REQUEST_ID)
    if given is not None and _SANE_ID.fullmatch(given):
        return given
    return new_request_id()
