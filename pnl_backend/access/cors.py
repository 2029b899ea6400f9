"""Which other origins may read the REST routes, by aiohttp-cors; `*` is never with credentials and never `null`."""

from __future__ import annotations

from collections.abc import Iterable

import aiohttp_cors
from aiohttp import hdrs, web

_EXPOSED = (
    "X-Request-ID", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Content-Disposition"
)  # fmt: skip
MAX_AGE = 600  # seconds; what browsers keep a preflight's answer for


def add_cors(app: web.Application, routes: Iterable[web.AbstractRoute], origins: Iterable[str]) -> None:
    """Let the origins read the routes, with whichever headers they send; those listed by name with credentials too."""
    defaults = {origin: _options(credentials=origin != "*") for origin in origins if origin != "null"}
    cors = aiohttp_cors.setup(app, defaults={"*": defaults["*"]} if "*" in defaults else defaults)
    for route in routes:
        cors.add(route)
    app.on_response_prepare.append(_refuse_null)


def _options(*, credentials: bool) -> aiohttp_cors.ResourceOptions:
    return aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call] # it ships no signatures
        allow_credentials=credentials,
        expose_headers=_EXPOSED,
        allow_headers="*",
        allow_methods=("GET", "HEAD", "POST"),
        max_age=MAX_AGE,
    )


def check_preflight(request: web.Request) -> None:
    """Raise what refuses an OPTIONS request before aiohttp-cors handles it."""
    if request.headers.get(hdrs.ORIGIN) == "null":
        raise web.HTTPForbidden
    if hdrs.ORIGIN not in request.headers or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
        resource = request.match_info.route.resource
        methods = {route.method for route in resource or ()} - {hdrs.METH_OPTIONS}
        raise web.HTTPMethodNotAllowed(request.method, methods)


async def _refuse_null(request: web.Request, response: web.StreamResponse) -> None:
    """`*` covers every origin but `null`, behind which sandboxed and local pages hide."""
    if request.headers.get(hdrs.ORIGIN) == "null":
        for name in [name for name in response.headers if name.lower().startswith("access-control-")]:
            del response.headers[name]
