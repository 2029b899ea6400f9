"""What pages of other origins may do, in a real browser: REST, long polling and events use the same list."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web

from tests.support.server import FAST, ROOT, ServerProcess

CHROMIUM = shutil.which("chromium")
CLIENT = ROOT / "client" / "node_modules" / "socket.io-client" / "dist" / "socket.io.min.js"
PAGE = Path(__file__).with_name("cross_origin.html")
KEY = "admin-key-of-this-test"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
    pytest.mark.skipif(not CLIENT.exists(), reason="needs the client's packages (npm ci)"),
]

PLAIN = ("rest", "polling", "stock", "events")
WITH_CREDENTIALS = ("restCredentials", "postCredentials", "pollingCredentials", "stockCredentials", "eventsCredentials")
ALL = dict.fromkeys((*PLAIN, *WITH_CREDENTIALS), 200)
NOTHING = dict.fromkeys(ALL, "blocked")


class Pages:
    """Serves the page on a port of its own and takes its report; `sandboxed` holds it in a frame of origin `null`."""

    def __init__(self) -> None:
        self.port = 0
        self.reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator["Pages"]:
        app = web.Application()
        app.router.add_get("/page", self._page)
        app.router.add_get("/sandboxed", self._sandboxed)
        app.router.add_get("/socket.io.min.js", self._client)
        app.router.add_post("/report", self._report)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()

    def url(self, host: str, page: str, server: str) -> str:
        query = {"server": server, "key": KEY, "report": f"http://{host}:{self.port}/report"}
        return f"http://{host}:{self.port}/{page}?{urlencode(query)}"

    @staticmethod
    async def _page(request: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE)

    @staticmethod
    async def _sandboxed(request: web.Request) -> web.Response:
        frame = f'<iframe sandbox="allow-scripts" src="/page?{request.query_string.replace("&", "&amp;")}"></iframe>'
        return web.Response(text=f"<!doctype html>{frame}", content_type="text/html")

    @staticmethod
    async def _client(request: web.Request) -> web.FileResponse:
        return web.FileResponse(CLIENT)

    async def _report(self, request: web.Request) -> web.Response:
        self.reports.put_nowait(json.loads(await request.text()))
        return web.Response()


async def visit(url: str, profile: Path, pages: Pages) -> dict[str, Any]:
    """Open a page in a browser of its own; what the page reports."""
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", url,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(150):
            return await pages.reports.get()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@pytest.fixture
async def pages():
    async with Pages().served() as served:
        yield served


@contextlib.asynccontextmanager
async def allowing(directory: Path, origins: str) -> AsyncIterator[ServerProcess]:
    env = {"DEMO": "true", "API_KEY": "read-key-of-this-test", "ADMIN_API_KEY": KEY, "CORS_ORIGIN": origins}
    server = ServerProcess(directory, **FAST, **env)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def test_a_listed_origin_may_use_credentials_and_headers_of_its_own(tmp_path, pages):
    async with allowing(tmp_path, f"http://127.0.0.1:{pages.port}") as server:
        report = await visit(pages.url("127.0.0.1", "page", server.url), tmp_path / "profile", pages)
    assert report == {"origin": f"http://127.0.0.1:{pages.port}", "found": ALL}


async def test_a_foreign_origin_may_do_nothing(tmp_path, pages):
    async with allowing(tmp_path, "https://dash.example") as server:
        report = await visit(pages.url("127.0.0.1", "page", server.url), tmp_path / "profile", pages)
    assert report["found"] == NOTHING


async def test_a_star_is_for_everyone_without_credentials(tmp_path, pages):
    async with allowing(tmp_path, "*") as server:
        report = await visit(pages.url("127.0.0.1", "page", server.url), tmp_path / "profile", pages)
    assert report["found"] == NOTHING | dict.fromkeys(PLAIN, 200)


@pytest.mark.parametrize("listed", ["*", "its host's"])
async def test_null_may_do_nothing(tmp_path, pages, listed):
    origins = "*" if listed == "*" else f"http://127.0.0.1:{pages.port}"
    async with allowing(tmp_path, origins) as server:
        report = await visit(pages.url("127.0.0.1", "sandboxed", server.url), tmp_path / "profile", pages)
    assert report == {"origin": "null", "found": NOTHING}
