"""Which other origins may read what the server answers: one policy for REST, by aiohttp-cors, and for the engine.

`*` is never with credentials and never covers `null`, behind which sandboxed and local pages hide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import aiohttp_cors
from aiohttp import hdrs, web

_EXPOSED = (
    "X-Request-ID", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Content-Disposition"
)  # fmt: skip
_METHODS = ("GET", "HEAD", "POST")
_POLLING_METHODS = ("GET", "POST")
_HEADER_NAMES = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z, ]{1,1024}")
_NULL = "null"
_ANY = "*"
MAX_AGE = 600
"""Seconds for which browsers keep a preflight's answer."""


class CorsPolicy:
    """The origins that are allowed by name, with credentials, or `*` for every origin, without."""

    def __init__(self, origins: Iterable[str]) -> None:
        given = frozenset(origins) - {_NULL}
        self.origins = frozenset((_ANY,)) if _ANY in given else given

    def allows(self, origin: str) -> bool:
        """Whether a page of this origin may read the answers."""
        return origin != _NULL and (_ANY in self.origins or origin in self.origins)

    def allows_credentials(self, origin: str) -> bool:
        """Whether it may do so with the user's cookies and passwords."""
        return origin != _ANY and origin in self.origins

    def headers(self, origin: str, asked: str | None) -> Mapping[str, str] | None:
        """The headers of an answer that a page of this origin may read; None where it may not.

        `asked` are the header names that a preflight asks for; None for any other request.
        """
        if not self.allows(origin):
            return None
        credentials = self.allows_credentials(origin)
        headers: dict[str, str] = {
            hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin if credentials else _ANY,
            hdrs.VARY: hdrs.ORIGIN,
            **({hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS: "true"} if credentials else {}),
        }
        if asked is None:
            return headers
        headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = ", ".join(_POLLING_METHODS)
        headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(MAX_AGE)
        if _HEADER_NAMES.fullmatch(asked):
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = asked
        return headers

    def add_to(self, app: web.Application, routes: Iterable[web.AbstractRoute]) -> None:
        """Let the origins read these routes, with whichever headers they send."""
        defaults = {origin: _options(credentials=self.allows_credentials(origin)) for origin in self.origins}
        cors = aiohttp_cors.setup(app, defaults=defaults)
        for route in routes:
            cors.add(route)
        app.on_response_prepare.append(_refuse_null)


def _options(*, credentials: bool) -> aiohttp_cors.ResourceOptions:
    return aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call] # it ships no signatures
        allow_credentials=credentials,
        expose_headers=_EXPOSED,
        allow_headers="*",
        allow_methods=_METHODS,
        max_age=MAX_AGE,
    )


def check_preflight(request: web.Request) -> None:
    """Raise what refuses an OPTIONS request before aiohttp-cors handles it."""
    if request.headers.get(hdrs.ORIGIN) == _NULL:
        raise web.HTTPForbidden
    if hdrs.ORIGIN not in request.headers or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
        resource = request.match_info.route.resource
        methods = {route.method for route in resource or ()} - {hdrs.METH_OPTIONS}
        raise web.HTTPMethodNotAllowed(request.method, methods)


async def _refuse_null(request: web.Request, response: web.StreamResponse) -> None:
    """aiohttp-cors takes `null` for one of `*`."""
    if request.headers.get(hdrs.ORIGIN) == _NULL:
        for name in [name for name in response.headers if name.lower().startswith("access-control-")]:
            del response.headers[name]
