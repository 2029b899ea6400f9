"""The dashboard at `/`: built or not, compressed or not, and nothing beside it."""

import gzip
import re

import aiohttp
import pytest
from aiohttp import web

from pnl_backend.http.dashboard import dashboard_folder
from tests.http.support import House, exchange

SCRIPT = b"console.log('dashboard')\n" * 50


@pytest.fixture
def dist(tmp_path):
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>P&amp;L</title>")
    (folder / "sw.js").write_text("self.skipWaiting()")
    (folder / "manifest.webmanifest").write_text("{}")
    script = folder / "assets" / "index-abc123.js"
    script.write_bytes(SCRIPT)
    script.with_name(script.name + ".gz").write_bytes(gzip.compress(SCRIPT))
    script.with_name(script.name + ".br").write_bytes(b"pretend brotli")
    (tmp_path / "outside.txt").write_text("not ours to show")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    return folder


async def test_the_page_is_revalidated_every_time_and_its_assets_are_cached_for_a_year(serve, dist):
    http = await serve(dist=dist)
    async with http.get("/") as answer:
        assert answer.content_type == "text/html"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert "Content-Security-Policy" in answer.headers
        assert "<title>P&amp;L</title>" in await answer.text()
        tag = answer.headers["ETag"]
    async with http.get("/", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with http.get("/assets/index-abc123.js", headers={"Accept-Encoding": "identity"}) as answer:
        assert answer.content_type in {"text/javascript", "application/javascript"}
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert await answer.read() == SCRIPT
    for path in ("/sw.js", "/manifest.webmanifest"):
        async with http.get(path) as answer:
            assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
    async with http.get("/manifest.webmanifest") as answer:
        assert answer.content_type == "application/manifest+json"


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        ("gzip", "gzip", gzip.compress(SCRIPT, mtime=0)),
        ("gzip, br", "br", b"pretend brotli"),
        ("identity", None, SCRIPT),
    ],
)
async def test_what_was_compressed_beforehand_is_sent_so(serve, dist, accepted, coding, body):
    (dist / "assets" / "index-abc123.js.gz").write_bytes(gzip.compress(SCRIPT, mtime=0))
    api = await serve(dist=dist)
    url = api.make_url("/assets/index-abc123.js")
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        http.get(url, headers={"Accept-Encoding": accepted}) as answer,
    ):
        assert answer.headers.get("Content-Encoding") == coding
        assert await answer.read() == body
        if coding:
            assert "Accept-Encoding" in answer.headers["Vary"]
        assert answer.content_type in {"text/javascript", "application/javascript"}


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../outside.txt",
        "/assets/..%2f..%2foutside.txt",
        "/assets/%2e%2e/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/%2fetc%2fpasswd.txt",
        "/link.txt",
        "/assets/",
        "/assets/none.js",
        "/none.txt",
        "/assets/%00.js",
        "/assets/" + "x" * 5000 + ".js",
    ],
)
async def test_nothing_outside_the_build_is_served(serve, dist, path):
    http = await serve(dist=dist)
    answer = await exchange(http.port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"not ours" not in answer


@pytest.mark.parametrize("missing", [None, "nowhere"])
async def test_without_a_build_a_page_explains_how_to_build_it(serve, tmp_path, missing):
    http = await serve(dist=missing and tmp_path / missing)
    async with http.get("/") as answer:
        assert answer.status == 200
        page = await answer.text()
        assert "make client" in page
        assert "/api/pnl/current" in page
        assert "/socket.io/" in page
        assert answer.headers["Cache-Control"] == "no-cache"
    assert not re.search(r"<script|<style|style=|\son\w+=", page)
    for link in re.findall(r'(?:href|src)="([^"]+)"', page):
        async with http.get(link) as answer:
            assert answer.status == 200, link


async def test_a_build_made_later_is_served_without_a_restart(serve, dist):
    index = dist / "index.html"
    kept = index.read_text()
    index.unlink()
    http = await serve(dist=dist)
    async with http.get("/") as answer:
        assert "make client" in await answer.text()
    index.write_text(kept)
    async with http.get("/") as answer:
        assert "P&amp;L" in await answer.text()


async def test_a_websocket_upgrade_of_the_page_goes_to_its_handler(serve, dist):
    async def upgrade(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("hello")
        await socket.close()
        return socket

    http = await serve(House(upgrade=upgrade), dist=dist, rate_limit_per_minute=1)
    for _ in range(3):
        async with http.ws_connect("/") as socket:
            assert await socket.receive_str() == "hello"
        async with http.get("/") as answer:
            assert "P&amp;L" in await answer.text()


async def test_without_a_handler_an_upgrade_is_refused_in_the_failure_form(serve, dist):
    http = await serve(dist=dist)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await http.ws_connect("/")
    assert refusal.value.status == 404


def test_the_page_is_found_in_the_package_or_in_the_project_and_nowhere_else(tmp_path):
    package = tmp_path / "pnl_backend"
    package.mkdir()
    (tmp_path / "client" / "dist").mkdir(parents=True)  # as another package called `client` would have it
    (tmp_path / "client" / "dist" / "index.html").write_text("not ours")
    assert dashboard_folder(package) is None
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "client" / "package.json").touch()
    assert dashboard_folder(package) == tmp_path / "client" / "dist"
    (package / "dashboard").mkdir()
    assert dashboard_folder(package) == package / "dashboard"
