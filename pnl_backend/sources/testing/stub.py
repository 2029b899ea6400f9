"""An upstream that answers as a healthy one does, or misbehaves in one chosen way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from aiohttp import web

Healthy = Callable[[], Awaitable[web.Response]]
Fault = Callable[[web.Request, Healthy], Awaitable[web.StreamResponse]]

_NOT_FORWARDED = frozenset(("host", "content-length", "connection", "accept-encoding"))


class Stub:
    """Forwards each request to the simulated upstream, and its answer back; `fault` comes between them."""

    def __init__(self, session: aiohttp.ClientSession, origin: str) -> None:
        self.fault: Fault | None = None
        self.requests = 0
        self.url = ""
        self._session = session
        self._origin = origin

    def moved(self, url: str) -> str:
        """An address of the simulated upstream as one of this stub."""
        parts = urlsplit(url)
        return urlunsplit((*urlsplit(self.url)[:2], parts.path, parts.query, parts.fragment))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1

        async def healthy() -> web.Response:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_FORWARDED}
            async with self._session.get(self._origin + request.raw_path, headers=headers) as answer:
                return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

        return await (healthy() if self.fault is None else self.fault(request, healthy))


@asynccontextmanager
async def stubbed(origin: str) -> AsyncIterator[Stub]:
    """A stub on a loopback port before the upstream at `origin`."""
    async with aiohttp.ClientSession() as session:
        stub = Stub(session, origin)
        app = web.Application()
        app.router.add_get("/{path:.*}", stub.answer)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield stub
        finally:
            await runner.cleanup()


async def hang(request: web.Request, healthy: Healthy) -> web.StreamResponse:
    """Take the request and never answer."""
    del request, healthy
    await asyncio.Event().wait()
    raise AssertionError("never reached")


async def drip(request: web.Request, healthy: Healthy) -> web.StreamResponse:
    """Send a byte now and then, so that no single read takes long."""
    del healthy
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def cut(request: web.Request, healthy: Healthy) -> web.StreamResponse:
    """Close the connection in the middle of the answer."""
    answer = await healthy()
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000000"})
    await response.prepare(request)
    await response.write(bytes(answer.body or b"")[:10])  # type: ignore[arg-type]  # a body of bytes, as `healthy` made it
    if request.transport is not None:
        request.transport.close()
    return response


async def redirect(request: web.Request, healthy: Healthy) -> web.StreamResponse:
    """Send the caller elsewhere: keys must not follow."""
    del healthy
    return web.Response(status=302, headers={"Location": f"http://{request.host}/elsewhere"})


def status(code: int, *, retry_after: str | None = None) -> Fault:
    """Answer with a status; the body repeats the request's headers, as some upstreams do."""

    async def refuse(request: web.Request, healthy: Healthy) -> web.StreamResponse:
        del healthy
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        body = {"error": {"type": "refused", "message": " ".join(request.headers.values())}}
        return web.json_response(body, status=code, headers=headers)

    return refuse


def body(text: bytes, content_type: str = "application/json") -> Fault:
    """Answer 200 with these bytes."""

    async def send(request: web.Request, healthy: Healthy) -> web.StreamResponse:
        del request, healthy
        return web.Response(body=text, content_type=content_type)

    return send


def oversize(length: int) -> Fault:
    """A healthy answer, with so many bytes of white space after it."""

    async def pad(request: web.Request, healthy: Healthy) -> web.StreamResponse:
        del request
        answer = await healthy()
        return web.Response(body=_bytes(answer) + b" " * length, content_type="application/json")

    return pad


def skewed(seconds: float, now: float) -> Fault:
    """A healthy answer whose `Date` is off by so many seconds."""

    async def date(request: web.Request, healthy: Healthy) -> web.StreamResponse:
        del request
        answer = await healthy()
        headers = {"Date": formatdate(now + seconds, usegmt=True)}
        return web.Response(
            body=_bytes(answer), status=answer.status, headers=headers, content_type=answer.content_type
        )

    return date


def changed(path: str, change: Callable[[Any], str]) -> Fault:
    """Healthy answers, but those of one path as `change` writes them."""

    async def alter(request: web.Request, healthy: Healthy) -> web.StreamResponse:
        answer = await healthy()
        if request.path != path:
            return answer
        return web.Response(text=change(json.loads(_bytes(answer))), content_type="application/json")

    return alter


def recording(into: dict[str, Any]) -> Fault:
    """Healthy answers, the first of each path kept by path."""

    async def keep(request: web.Request, healthy: Healthy) -> web.StreamResponse:
        answer = await healthy()
        into.setdefault(request.path, json.loads(_bytes(answer)))
        return answer

    return keep


def _bytes(answer: web.Response) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b""
