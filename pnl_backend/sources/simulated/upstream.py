"""One simulated upstream: its routes, its counters and its clock around an aiohttp application."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from aiohttp import web
from aiohttp.typedefs import Handler

from pnl_backend.sources.simulated.loopback import Loopback

ErrorBody = Callable[[int, float | None], web.Response]
"""An upstream's own answer for an error: HTTP status, and seconds for Retry-After."""

SKEW = web.RequestKey("skew", float)
"""Seconds by which the upstream's clock is ahead for this request."""

Respond = Callable[[], Awaitable[web.StreamResponse]]
Intercept = Callable[["Upstream", web.Request, str, Respond], Awaitable[web.StreamResponse]]
"""Called with each request and its path below the base, in place of the right answer, which `Respond` gives."""


class Upstream:
    """Serves routes on a loopback port of its own; `stop` and `start` again keep the port."""

    def __init__(
        self,
        name: str,
        *,
        base: str,
        error: ErrorBody,
        clock: Callable[[], float],
        host: str,
        port: int,
        intercept: Intercept | None,
    ) -> None:
        self.name = name
        self.base = base
        self.error = error
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        """Bytes of the bodies that were answered, by path."""
        self.before_stop: Callable[[], Awaitable[None]] | None = None
        self._clock = clock
        self._intercept = intercept
        self._routes: list[web.RouteDef] = []
        self._server = Loopback(name, self._application, host=host, port=port)

    @property
    def origin(self) -> str:
        return self._server.origin

    @property
    def url(self) -> str:
        """The origin with the base."""
        return self.origin + self.base

    def add(self, path: str, handler: Handler, *, absolute: bool = False) -> None:
        """Serve GET on a path below the base, or on an absolute one."""
        self._routes.append(web.get(path if absolute else self.base + path, handler))

    def now(self, request: web.Request) -> float:
        """This upstream's time of day, seconds since the epoch, with the skew of a fault."""
        skew: float = request.get(SKEW, 0.0)
        return self._clock() + skew

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        if self.before_stop is not None:
            await self.before_stop()
        await self._server.stop()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._middleware])
        app.add_routes(self._routes)
        return app

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path.removeprefix(self.base) or self.base or "/"
        self.requests[path] += 1

        async def respond() -> web.StreamResponse:
            try:
                return await handler(request)
            except web.HTTPException as error:
                return self.error(error.status, None)

        answer = await (respond() if self._intercept is None else self._intercept(self, request, path, respond))
        if isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            self.sent[path] += len(answer.body)
        if not answer.prepared:
            answer.headers["Date"] = formatdate(self.now(request), usegmt=True)
        return answer


def json_error(status: int, retry_after: float | None) -> web.Response:
    """An error as one line of JSON."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    reasons = {401: "missing or wrong token", 404: "not found", 429: "slow down"}
    return web.json_response({"error": reasons.get(status, "internal error")}, status=status, headers=headers)
