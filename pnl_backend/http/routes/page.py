"""The built dashboard at `/`, or a page with instructions to build it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from aiohttp import hdrs, web

from pnl_backend.http.ports import Upgrade
from pnl_backend.http.routing import Guard, Route
from pnl_backend.wire.refusals import NotFound

FOREVER = "public, max-age=31536000, immutable"  # the names of files under /assets/ change with their content
ASK_EVERY_TIME = "no-cache"  # cached, but revalidated before each use

_OPEN = Guard("public", limited=False)
_OURS = files("pnl_backend.http") / "assets"


class PageRoutes:
    """Files of a build made by Vite; those precompressed (`.br`, `.gz`) are sent to clients that accept them."""

    def __init__(self, dist: Path | None, upgrade: Upgrade | None) -> None:
        self._dist = None if dist is None else dist.resolve()
        self._upgrade = upgrade
        self._notice = (_OURS / "no_dashboard.html").read_bytes()
        self._style = (_OURS / "page.css").read_bytes()

    def routes(self) -> list[Route]:
        served = {
            "/": self.index,
            "/page.css": self.style,
            "/assets/{path:.+}": self.asset,
            r"/{path:[^/]+\.[A-Za-z0-9]+}": self.file,
        }
        return [
            Route(method="GET", path=path, handler=handler, guard=_OPEN, cors=False, documented=False)
            for path, handler in served.items()
        ]

    async def index(self, request: web.Request) -> web.StreamResponse:
        if _wants_websocket(request):
            if self._upgrade is None:
                raise NotFound("No plain WebSocket feed is served here")
            return await self._upgrade(request)
        page = self._find("index.html")
        if page is not None:
            return web.FileResponse(page, headers={hdrs.CACHE_CONTROL: ASK_EVERY_TIME})
        return _ours(self._notice, "text/html")

    async def style(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - a handler's signature
        return _ours(self._style, "text/css")

    async def asset(self, request: web.Request) -> web.StreamResponse:
        return self._send("assets/" + request.match_info["path"], FOREVER)

    async def file(self, request: web.Request) -> web.StreamResponse:
        return self._send(request.match_info["path"], ASK_EVERY_TIME)

    def _send(self, name: str, caching: str) -> web.StreamResponse:
        path = self._find(name)
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={hdrs.CACHE_CONTROL: caching})

    def _find(self, name: str) -> Path | None:
        """The file of that name inside the build; None for a path, or a link, that leads outside."""
        if self._dist is None:
            return None
        try:
            path = (self._dist / name).resolve()
            return path if path.is_relative_to(self._dist) and path.is_file() else None
        except (OSError, ValueError):  # a name that no file can have
            return None


def _ours(body: bytes, content_type: str) -> web.Response:
    headers = {hdrs.CACHE_CONTROL: ASK_EVERY_TIME}
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)


def _wants_websocket(request: web.Request) -> bool:
    return (
        request.headers.get(hdrs.UPGRADE, "").strip().lower() == "websocket"
        and "upgrade" in request.headers.get(hdrs.CONNECTION, "").lower()
    )
