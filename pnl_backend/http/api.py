"""Builds the aiohttp application with every REST route, the page and the descriptions."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from pnl_backend.access.cors import CorsPolicy
from pnl_backend.http.middleware import Gate
from pnl_backend.http.openapi import openapi
from pnl_backend.http.options import HttpOptions
from pnl_backend.http.ports import Ports
from pnl_backend.http.routes.docs import DocsRoutes
from pnl_backend.http.routes.health import HealthRoutes
from pnl_backend.http.routes.operations import OperationsRoutes
from pnl_backend.http.routes.page import PageRoutes
from pnl_backend.http.routes.pnl import PnlRoutes
from pnl_backend.http.routes.sources import SourcesRoutes
from pnl_backend.http.routing import Route


def create_api(ports: Ports, *, options: HttpOptions, extra: Iterable[Route] = ()) -> web.Application:
    """Build the application, to be served with `access_log=None`: it writes its own.

    `extra` routes are served and described like its own. Routes that are added to it later need a read key, except
    under `options.passthrough`.
    """
    docs = DocsRoutes(ports.asyncapi)
    routes = api_routes(ports, options, docs=docs, extra=extra)
    docs.describe(openapi(routes, version=options.version, sources=ports.sources))
    gate = Gate(routes, options)
    app = web.Application(middlewares=[gate.middleware])
    shared = [added for route in routes for added in [_add(app, route)] if route.cors]
    CorsPolicy(options.cors_origins).add_to(app, shared)
    app.on_response_prepare.append(gate.on_prepare)
    app.on_cleanup.append(gate.access_log.close)
    return app


def api_routes(ports: Ports, options: HttpOptions, *, docs: DocsRoutes, extra: Iterable[Route] = ()) -> list[Route]:
    """Every route of the application, in the order in which their patterns are tried."""
    return [
        *HealthRoutes(ports, options).routes(),
        *PnlRoutes(ports, options).routes(),
        *OperationsRoutes(ports, options).routes(),
        *SourcesRoutes(ports, options).routes(),
        *docs.routes(),
        *extra,
        *PageRoutes(options.dist, ports.upgrade).routes(),  # last, because its pattern matches many paths
    ]


def _add(app: web.Application, route: Route) -> web.AbstractRoute:
    if route.method == "GET":  # which answers HEAD as well
        return app.router.add_get(route.path, route.handler)
    return app.router.add_post(route.path, route.handler)
