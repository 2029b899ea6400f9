"""Every transport through the shipped nginx site: a real nginx, the real server, TLS in between."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.deploy.proxy import NAME, ROOT, Proxy
from tests.support.clients import Listener
from tests.support.server import FAST, ServerProcess
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx (Debian: nginx-light)")

KEY = "a-read-key-of-more-than-thirty-two-characters"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    process = ServerProcess(
        tmp_path / "server",
        **FAST,
        DEMO="true",
        API_KEY=KEY,
        TRUSTED_PROXIES="127.0.0.1",
        CORS_ORIGIN="https://dashboard.example",
    )
    process.directory.mkdir()
    await process.start()
    yield process
    await process.close()


@pytest.fixture
async def proxy(tmp_path: Path, server: ServerProcess) -> AsyncIterator[Proxy]:
    directory = tmp_path / "nginx"
    directory.mkdir()
    built = Proxy(directory, server.port)
    await built.start()
    yield built
    await built.stop()


@pytest.fixture
async def browser(proxy: Proxy) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that trusts the proxy's certificate and no other."""
    trusted = ssl.create_default_context(cafile=str(proxy.directory / "fullchain.pem"))
    async with aiohttp.ClientSession(
        proxy.url, connector=aiohttp.TCPConnector(ssl=trusted), headers={"X-API-Key": KEY}
    ) as session:
        yield session


async def test_the_configuration_is_without_fault(proxy: Proxy) -> None:
    said = proxy.check()
    assert "syntax is ok" in said
    assert "warn" not in said


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="+".join)
async def test_socketio(proxy: Proxy, browser: aiohttp.ClientSession, transports: list[str]) -> None:
    client = Listener()
    client.io.eio.http = browser
    client.io.eio.external_http = True
    await client.io.connect(proxy.url, transports=transports, auth={"apiKey": KEY})
    try:
        await client.io.call("subscribe_pnl")
        updates = await client.until(lambda heard: len(heard.of("pnl_update")) >= 5 and heard.of("pnl_update"))
        seqs = [update["data"]["seq"] for update in updates]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert client.io.eio.transport() == transports[-1]
    finally:
        await client.io.disconnect()


async def test_events_come_one_by_one_and_not_in_heaps(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/api/pnl/stream", headers={"Accept": "text/event-stream"}) as stream:
        assert stream.status == 200
        assert stream.content_type == "text/event-stream"
        first = await _next_event(stream)
        assert first["type"] == "snapshot"
        # Held back by a buffer, a second small event would not come before kilobytes of others.
        second = await _next_event(stream)
        assert second["data"]["seq"] > first["data"]["seq"]


async def test_plain_websockets(browser: aiohttp.ClientSession) -> None:
    for path in ("/", "/ws"):
        async with browser.ws_connect(path, params={"apiKey": KEY}) as socket:
            async with asyncio.timeout(PATIENCE):
                first = await socket.receive_json()
            assert first["type"] == "snapshot"
            await socket.send_json({"type": "ping"})
            async with asyncio.timeout(PATIENCE):
                while (await socket.receive_json())["type"] != "pong":
                    pass


async def test_rest_and_the_dashboard(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/api/pnl/current") as answer:
        assert answer.status == 200
        assert (await answer.json())["data"]["simulated"] is True
        assert "Server" not in answer.headers or "/" not in answer.headers["Server"]
        assert answer.headers["Strict-Transport-Security"]
    async with browser.get("/") as page:
        assert page.status == 200
        assert page.content_type == "text/html"


async def test_metrics_are_for_this_machine_however_the_path_is_written(proxy: Proxy) -> None:
    trusted = ssl.create_default_context(cafile=str(proxy.directory / "fullchain.pem"))
    for source, status in (("127.0.0.1", 200), ("127.0.0.2", 403)):
        connector = aiohttp.TCPConnector(ssl=trusted, local_addr=(source, 0))
        async with aiohttp.ClientSession(proxy.url, connector=connector, headers={"X-API-Key": KEY}) as session:
            for path in ("/metrics", "/metrics/", "/METRICS", "/Metrics/", "/%6Detrics?x=1"):
                async with session.get(URL(path, encoded=True)) as answer:
                    assert answer.status == status, (source, path)


@pytest.mark.parametrize("host", [NAME, "evil.example", "127.0.0.1"])
@pytest.mark.parametrize(
    "target",
    [
        "/api/pnl/history?limit=5&resolution=raw",
        "/%0d%0aSet-Cookie:%20session=stolen",
        "/%0d%0a%0d%0a<script>alert(1)</script>",
        "//evil.example/",
        "/@evil.example",
    ],
)
async def test_plain_http_is_sent_to_tls_by_the_site_s_own_name_alone(proxy: Proxy, host: str, target: str) -> None:
    lines = await redirect(proxy, target, host)
    assert lines[0].split()[1] == "301"
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert headers["location"] == f"https://{NAME}{target}".lower()
    assert set(headers) <= {"server", "date", "content-type", "content-length", "connection", "location"}
    assert headers["server"] == "nginx"


async def test_json_is_compressed_and_events_are_not(browser: aiohttp.ClientSession) -> None:
    limit = {"limit": "20"}
    async with browser.get("/api/pnl/history", params=limit, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in ", ".join(answer.headers.getall("Vary"))
        assert (await answer.json())["success"] is True
    async with browser.get("/api/pnl/history", params=limit, headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
    async with browser.get("/api/pnl/stream", headers={"Accept-Encoding": "gzip"}) as stream:
        assert "Content-Encoding" not in stream.headers
        assert (await _next_event(stream))["type"] == "snapshot"


async def test_the_log_shows_a_query_only_when_no_key_can_be_in_it(
    proxy: Proxy, browser: aiohttp.ClientSession
) -> None:
    shown = "/api/pnl/history?limit=5&resolution=raw"
    hidden = [f"/api/pnl/history?limit=6&apiKey={KEY}", f"/api/pnl/history?api%4Bey={KEY}", f"/health?from={KEY}%26"]
    for target in (shown, *hidden, "/%0afaked-line"):
        async with browser.get(URL(target, encoded=True)) as answer:
            await answer.read()
    await proxy.stop()
    access = (proxy.directory / "pnl-access.log").read_text()
    assert f'"GET {shown}" 200' in access
    assert access.count('"GET /api/pnl/history?***" 200') == 2
    assert '"GET /health?***" 200' in access
    assert '"GET /%0afaked-line" 404' in access
    assert KEY not in proxy.logs()


async def test_the_clients_address_is_used_and_its_own_headers_are_not(
    browser: aiohttp.ClientSession, server: ServerProcess
) -> None:
    async with browser.get("/api/pnl/breakdown", headers={"X-Forwarded-For": "203.0.113.9"}) as answer:
        assert answer.status == 200
    async with browser.get("/api/nowhere") as answer:
        assert answer.status == 404
    await until(lambda: "/api/nowhere" in server.log)
    assert "203.0.113.9" not in server.log
    assert "127.0.0.1 GET /api/nowhere" in server.log


async def test_no_key_reaches_a_log(proxy: Proxy, browser: aiohttp.ClientSession, server: ServerProcess) -> None:
    async with browser.get("/api/pnl/current", params={"apiKey": KEY}) as answer:
        assert answer.status == 200
    await server.close()
    # nginx has the most to say when nobody answers behind it.
    async with browser.get("/api/pnl/current", params={"apiKey": KEY}) as answer:
        assert answer.status == 502
    await proxy.stop()
    assert "GET /api/pnl/current" in proxy.logs()
    assert KEY not in proxy.logs()


async def test_it_is_back_as_soon_as_the_server_is(browser: aiohttp.ClientSession, server: ServerProcess) -> None:
    server.env["PORT"] = str(server.port)
    await server.close()
    async with browser.get("/health") as answer:
        assert answer.status == 502
    await server.start()
    async with browser.get("/health") as answer:
        assert answer.status == 200


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.skipif(not (ROOT / "client/dist/index.html").exists(), reason="needs the built dashboard (make client)")
async def test_under_a_path_of_another_site_the_dashboard_shows_an_error(proxy: Proxy, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{proxy.path_port}/pnl/"
    flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    process = await asyncio.create_subprocess_exec(
        "chromium", *flags, "--dump-dom", url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60):
            page, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "This dashboard cannot be served under /pnl/. Give it a host name of its own" in page.decode()


async def redirect(proxy: Proxy, target: str, host: str) -> list[str]:
    """The lines of the head that answers a plain HTTP request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.http_port)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
    finally:
        writer.close()
    return answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")


async def _next_event(stream: aiohttp.ClientResponse) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        async for line in stream.content:
            if line.startswith(b"data:"):
                found: dict[str, Any] = json.loads(line[5:])
                return found
    raise AssertionError("the stream ended")
