"""The list of this server's sources, for clients that can show sources which they do not know by name."""

from __future__ import annotations

from aiohttp import web

from pnl_backend.http.envelope import success_of
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.ports import Ports
from pnl_backend.http.routing import Answer, Route
from pnl_backend.wire.source_schemas import SourceList, source_list


class SourcesRoutes:
    def __init__(self, ports: Ports, options: HttpOptions) -> None:
        self._list = source_list(ports.sources)
        self._options = options

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET", path="/api/sources", handler=self.sources, tag="P&L",
                summary="The sources of the snapshots, in their order",
                description="For each its name, its label, its circuit breaker, and the rows in which a page may show "
                "its figures.",
                answers=(Answer("The sources, in the order of the components.", SourceList),),
            ),
        ]  # fmt: skip

    async def sources(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return success_of(self._list, self._options.now_ms())
