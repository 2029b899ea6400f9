"""What every request passes, in one place: id, key, limit, errors, headers, access log."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable

from aiohttp import hdrs, web
from multidict import CIMultiDict

from pnl_backend.access.addresses import ClientAddresses
from pnl_backend.access.keys import Grant, presented_key
from pnl_backend.access.ratelimit import RateLimiter, Verdict
from pnl_backend.errors import Forbidden, PnLError, RateLimited
from pnl_backend.http.accesslog import AccessLog
from pnl_backend.http.cors import check_preflight
from pnl_backend.http.failures import Failures
from pnl_backend.http.headers import HSTS, NO_STORE, security_headers
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.peer import client_of, is_loopback
from pnl_backend.http.routing import Access, Guard, Handler, Route

REQUEST_ID = web.RequestKey("request_id", str)
ADDRESS = web.RequestKey("address", str)
SECURE = web.RequestKey("secure", bool)
GRANT = web.RequestKey("grant", Grant)
_VERDICT = web.RequestKey("verdict", Verdict)
_STARTED = web.RequestKey("started", web.StreamResponse)

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
_PREFLIGHT = Guard("public", limited=False)
_UNROUTED = Guard("public", limited=True)  # 404 and 405 tell nothing that the description does not
_OTHER = Guard("read", limited=True)


class Gate:
    """The middleware and the header hook of one application.

    Routes that the application gained elsewhere are guarded as read routes, unless their path is passed through.
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
            self._headers["Strict-Transport-Security"] = HSTS

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._is_elsewhere(request):
            return await handler(request)
        start = time.perf_counter()
        request_id = request[REQUEST_ID] = _request_id(request)
        address, request[SECURE] = client_of(request, self._addresses)
        request[ADDRESS] = address
        status, size = 499, None  # the status that stays when the client goes away before an answer
        try:
            try:
                self._admit(request, address)
                response = await handler(request)
            except Exception as error:
                response = self._recover(request, error)
            status, size = response.status, response.content_length
        finally:
            if self._options.access_log:
                self.access_log.add(
                    request, address=address, status=status, size=size, start=start, request_id=request_id
                )
            if self._observe is not None:
                self._observe(_method(request), _pattern(request), status, time.perf_counter() - start)
        return response

    async def on_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that every answer has, streams and failures included."""
        request[_STARTED] = response
        headers = response.headers
        headers.pop(hdrs.SERVER, None)
        if self._is_elsewhere(request):
            return
        headers.update(self._headers)
        headers.setdefault(hdrs.CACHE_CONTROL, NO_STORE)
        if hdrs.VARY not in headers:
            headers[hdrs.VARY] = hdrs.ORIGIN
        if (request_id := request.get(REQUEST_ID)) is not None:
            headers["X-Request-ID"] = request_id
        if (verdict := request.get(_VERDICT)) is not None:
            headers.update(verdict.headers())
        if hdrs.STRICT_TRANSPORT_SECURITY not in headers and request.get(SECURE, request.secure):
            headers[hdrs.STRICT_TRANSPORT_SECURITY] = HSTS

    def _is_elsewhere(self, request: web.Request) -> bool:
        """Whether a handler serves it that does its own auth, limits and CORS."""
        return request.path.startswith(self._options.passthrough) and request.match_info.http_exception is None

    def _recover(self, request: web.Request, error: Exception) -> web.StreamResponse:
        """The failure answer, or the broken-off response where its head is already on the way."""
        started: web.StreamResponse | None = request.get(_STARTED)
        if started is None:
            return self._failures.answer(error, request_id=request[REQUEST_ID], now_ms=self._options.now_ms())
        if not isinstance(error, ConnectionError):
            self._failures.log(error, request[REQUEST_ID])
        if request.transport is not None:  # a cut connection is the only way left to say that this is not all
            request.transport.abort()
        return started

    def _admit(self, request: web.Request, address: str) -> None:
        """Count the request, then check its key; raises what refuses it."""
        guard = self._guard(request)
        denied: PnLError | None = None
        digest = b""
        if guard.access != "public":
            try:
                grant = request[GRANT] = self._check(request, guard.access, address)
                digest = grant.digest
            except PnLError as error:
                denied = None if guard.access == "optional" else error
        if self._limiter is not None and guard.limited:
            verdict = request[_VERDICT] = self._limiter.take(digest, address)
            if not verdict.admitted:
                raise RateLimited(verdict.retry_after)
        if denied is not None:
            raise denied

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
    """The method, where it is one that we serve: a client may make up any other."""
    return request.method if request.method in _METHODS else "other"


def _pattern(request: web.Request) -> str:
    """The route's pattern; `other` for what no route answers."""
    resource = request.match_info.route.resource
    return "other" if resource is None else resource.canonical


def _request_id(request: web.Request) -> str:
    """The client's id where it is short and plain, so that it can stand in a log line; else one of ours."""
    given = request.headers.get("X-Request-ID")
    if given is not None and _SANE_ID.fullmatch(given):
        return given
    return secrets.token_hex(8)
