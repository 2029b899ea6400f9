"""Breakers, cache and metrics for operators; resets need an admin key."""

from __future__ import annotations

from aiohttp import hdrs, web

from pnl_backend.http.envelope import success_of
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.params import read_body
from pnl_backend.http.ports import Ports
from pnl_backend.http.routing import Answer, Guard, Route
from pnl_backend.wire import operations
from pnl_backend.wire.message import UNSET

_ADMIN = Guard("admin")


class OperationsRoutes:
    def __init__(self, ports: Ports, options: HttpOptions) -> None:
        self._ports = ports
        self._options = options

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET", path="/api/circuit-breaker/status", handler=self.breakers, tag="Operations",
                summary="Each upstream's circuit breaker", answers=(Answer("The breakers.", operations.Breakers),),
            ),
            Route(
                method="POST", path="/api/circuit-breaker/reset", handler=self.reset, tag="Operations", guard=_ADMIN,
                summary="Close one breaker, or all", body=operations.BreakerReset,
                answers=(Answer("Those closed.", operations.BreakerResetDone),), errors=(400, 404, 408, 413),
            ),
            Route(
                method="GET", path="/api/cache/stats", handler=self.cache_stats, tag="Operations",
                summary="Hits, misses and latency by tier", answers=(Answer("The counters.", operations.CacheStats),),
            ),
            Route(
                method="POST", path="/api/cache/clear", handler=self.cache_clear, tag="Operations", guard=_ADMIN,
                summary="Remove everything from the cache", answers=(Answer("Done.", operations.CacheCleared),),
            ),
            Route(
                method="GET", path="/metrics", handler=self.metrics, tag="Operations", guard=Guard("metrics"),
                summary="Prometheus metrics", cors=False,
                answers=(Answer("The exposition.", content_type="text/plain"),),
            ),
        ]  # fmt: skip

    async def breakers(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return success_of(self._ports.breakers.status(), self._options.now_ms())

    async def reset(self, request: web.Request) -> web.StreamResponse:
        options = self._options
        asked = await read_body(
            request, operations.BreakerReset, max_bytes=options.max_body, timeout=options.body_timeout
        )
        closed = await self._ports.breakers.reset(None if asked.service is UNSET else asked.service)
        return success_of(operations.BreakerResetDone(list(closed)), options.now_ms())

    async def cache_stats(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return success_of(self._ports.cache.stats(), self._options.now_ms())

    async def cache_clear(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        await self._ports.cache.clear()
        return success_of(operations.CacheCleared(True), self._options.now_ms())

    async def metrics(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        body, content_type = self._ports.metrics.render()
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
