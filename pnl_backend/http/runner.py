"""aiohttp's runner; malformed requests get our failure response, without version, echo or traceback."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import hdrs, web
from loguru import logger

from pnl_backend.http.envelope import refusal
from pnl_backend.http.headers import NO_STORE
from pnl_backend.http.options import wall_ms

KEEPALIVE = 75.0  # seconds an idle connection is kept: longer than the minute that proxies commonly keep theirs
LINGERING = 5.0  # seconds for the rest of a body that no handler reads

_HEADERS: dict[str, str] = {
    hdrs.SERVER: "pnl-backend",  # the default names the framework and its version
    hdrs.CACHE_CONTROL: NO_STORE,
    hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
}


class ApiRunner(web.AppRunner):
    """An AppRunner whose connections answer malformed requests with our failure response."""

    def __init__(
        self,
        app: web.Application,
        *,
        shutdown_timeout: float = 10.0,
        now_ms: Callable[[], int] = wall_ms,
        fold_path: Callable[[str], str] = str,
    ) -> None:
        """Paths match a route without placeholders where `fold_path` gives the same for both."""
        super().__init__(app, access_log=None, shutdown_timeout=shutdown_timeout)
        self._now_ms = now_ms
        self._fold_path = fold_path

    @property
    def server(self) -> web.Server | None:
        """Makes a protocol for each connection; None before `setup`."""
        counting = super().server
        if counting is None:
            return None
        plain = [r.canonical for r in self.app.router.resources() if isinstance(r, web.PlainResource)]
        served = {self._fold_path(path): path for path in reversed(plain)}
        return _Protocols(counting, self._now_ms, _ServedPath(counting.request_factory, self._fold_path, served))


class _ServedPath:
    """Makes requests whose path is replaced by that of the matching route, so that later code handles one form."""

    def __init__(
        self, make: Callable[..., web.BaseRequest], fold: Callable[[str], str], served: dict[str, str]
    ) -> None:
        """`served` are the routes' paths by their folded form."""
        self._make = make
        self._fold = fold
        self._served = served
        self._paths = frozenset(served.values())

    def __call__(self, message: Any, *rest: Any) -> web.BaseRequest:
        if message.path in self._paths:
            return self._make(message, *rest)
        path, mark, query = message.path.partition("?")
        served = self._served.get(self._fold(path), path)
        if served != path:
            url = message.url.with_path(served, encoded=True, keep_query=True)
            message = message._replace(path=served + mark + query, url=url)
        return self._make(message, *rest)


class _Protocols(web.Server):
    """Makes our connections for the application's server, which counts them and closes them at shutdown."""

    def __init__(self, counting: web.Server, now_ms: Callable[[], int], make_request: _ServedPath) -> None:
        super().__init__(counting.request_handler, request_factory=make_request)
        self._counting = counting
        self._now_ms = now_ms

    def __call__(self) -> web.RequestHandler:
        loop = asyncio.get_running_loop()
        settings: dict[str, Any] = {"keepalive_timeout": KEEPALIVE, "lingering_time": LINGERING, "access_log": None}
        return _Connection(self._counting, self._now_ms, self.request_factory, loop=loop, **settings)


class _Connection(web.RequestHandler):
    """Answers requests that the parser refuses, and exceptions of handlers outside our middleware."""

    __slots__ = ("_now_ms",)

    def __init__(
        self,
        manager: web.Server,
        now_ms: Callable[[], int],
        make_request: Callable[..., web.BaseRequest],
        **settings: Any,
    ) -> None:
        super().__init__(manager, **settings)
        self._request_factory = make_request
        self._now_ms = now_ms

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - see below
        """Treat every connection loss as an ordinary close: the next write then fails.

        Given an error, aiohttp puts it into a future that the error's own traceback refers to. The cycle would hold the
        handler's frame, with the request and the rows that it was writing, until the garbage collector runs.
        """
        super().connection_lost(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it may quote a key that the client sent
    ) -> web.StreamResponse:
        request_id = secrets.token_hex(8)
        if status < 500:
            logger.debug("{} sent what is not HTTP ({}): {}", request.remote, request_id, type(exc).__name__)
        else:
            logger.opt(exception=exc).error("Request {} of {} failed", request_id, request.remote)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has been started already")
        response = refusal(status, request_id=request_id, now_ms=self._now_ms(), headers=_HEADERS)
        response.force_close()
        return response
