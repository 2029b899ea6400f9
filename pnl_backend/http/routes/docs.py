"""The OpenAPI and AsyncAPI documents, and the page made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from pnl_backend.http.docspage import render
from pnl_backend.http.envelope import JSON
from pnl_backend.http.routing import Answer, Route
from pnl_backend.wire.message import encode


class DocsRoutes:
    """Serves documents that are built once, when all routes are known."""

    def __init__(self, asyncapi: Callable[[], Mapping[str, Any]] | None) -> None:
        self._asyncapi = None if asyncapi is None else asyncapi()
        self._openapi_json = b""
        self._asyncapi_json = encode(self._asyncapi)
        self._page = ""

    def describe(self, openapi: Mapping[str, Any]) -> None:
        """Set the finished document; before that nothing is served."""
        self._openapi_json = encode(openapi)
        self._page = render(openapi, self._asyncapi)

    def routes(self) -> list[Route]:
        description = Answer("The description.", content_type=JSON)
        routes = [
            Route(
                method="GET", path="/openapi.json", handler=self.openapi, tag="Descriptions",
                summary="The REST routes as OpenAPI 3.1", answers=(description,),
            ),
            Route(
                method="GET", path="/docs", handler=self.docs, tag="Descriptions",
                summary="The descriptions as a page", cors=False,
                answers=(Answer("The page.", content_type="text/html"),),
            ),
        ]  # fmt: skip
        if self._asyncapi is not None:
            routes.append(
                Route(
                    method="GET", path="/asyncapi.json", handler=self.asyncapi, tag="Descriptions",
                    summary="The feeds as AsyncAPI 3.0", answers=(description,),
                )
            )  # fmt: skip
        return routes

    async def openapi(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return web.Response(body=self._openapi_json, content_type=JSON)

    async def asyncapi(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return web.Response(body=self._asyncapi_json, content_type=JSON)

    async def docs(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return web.Response(text=self._page, content_type="text/html")
