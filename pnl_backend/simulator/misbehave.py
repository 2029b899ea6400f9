"""What each fault does to a request or to its right answer."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from pnl_backend.sources.simulated.upstream import SKEW, ErrorBody, Intercept, Respond, Upstream

from .faults import Fault, Faults

_GARBAGE = b'{"data": [{"amount": "12.3\xff\xfe\x00\x9f'
_HTML = "<!doctype html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"
_PADDING = 9 * 1024 * 1024
_UNKNOWN: dict[str, Any] = {
    "x_text": "new",
    "x_number": -1.5,
    "x_flag": True,
    "x_nothing": None,
    "x_list": [1, "two", {"three": []}],
    "x_object": {"amount": "NaN"},
}
_MONEY = ("amount", "balance", "price", "dollars", "invoiced", "collected", "fee", "exposure", "pnl", "_fp")


def interceptor(faults: Faults) -> Intercept:
    """Does to each request what the faults in force say."""

    async def intercept(upstream: Upstream, request: web.Request, path: str, respond: Respond) -> web.StreamResponse:
        fault = faults.take(upstream.name, path)
        if fault is None:
            return await respond()
        if fault.kind == "skew":
            request[SKEW] = float(fault.options["seconds"])
        answer = await _before(fault, request, lambda: faults.until_cleared(upstream.name), upstream.error)
        return await _after(fault, request, await respond()) if answer is None else answer

    return intercept


async def _before(
    fault: Fault, request: web.Request, until_cleared: Callable[[], Awaitable[None]], error: ErrorBody
) -> web.StreamResponse | None:
    """What the fault does instead of answering; None if the request is to be answered first."""
    if fault.kind == "slow":
        await asyncio.sleep(fault.options["seconds"])
        return None
    if fault.kind == "hang":
        await until_cleared()
    if fault.kind in ("hang", "close"):
        return _drop(request)
    return _instead(fault, error)


def _instead(fault: Fault, error: ErrorBody) -> web.Response | None:
    options = fault.options
    if fault.kind in ("status", "rate_limit"):
        return error(options.get("code", 429), options["retry_after"])
    if fault.kind == "garbage":
        return web.Response(body=_GARBAGE, content_type="application/json")
    if fault.kind == "html":
        return web.Response(text=_HTML, content_type="text/html", status=options["code"])
    if fault.kind == "redirect":
        return web.Response(status=options["code"], headers={"Location": options["location"]})
    return None


async def _after(fault: Fault, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """What the fault does to a right answer."""
    if not isinstance(answer, web.Response) or not isinstance(answer.body, bytes):
        return answer
    if fault.kind in ("drip", "cut"):
        return await _piecemeal(fault, request, answer)
    return answer if answer.status != 200 else _spoiled(fault, answer, answer.body)


def _spoiled(fault: Fault, answer: web.Response, body: bytes) -> web.Response:
    if fault.kind == "truncated":
        return web.Response(body=body[: len(body) // 2], content_type="application/json")
    if fault.kind == "too_big":
        return _too_big(body, zipped=fault.options["gzip"])
    if fault.kind in ("missing_fields", "extra_fields"):
        change = _without if fault.kind == "missing_fields" else _with_more
        text = json.dumps(change(json.loads(body), fault))
        return web.Response(text=text, content_type="application/json", headers=_kept_headers(answer))
    if fault.kind in ("nan", "infinity", "missing_field", "wrong_type", "set_field"):
        text = json.dumps(_changed(json.loads(body), fault))
        return web.Response(text=text, content_type="application/json", headers=_kept_headers(answer))
    return answer


def _kept_headers(answer: web.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if not name.lower().startswith("content-")}


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


async def _piecemeal(fault: Fault, request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = bytes(answer.body) if isinstance(answer.body, bytes) else b""
    stream = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
    stream.content_length = len(body)
    await stream.prepare(request)
    if fault.kind == "cut":
        await stream.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.abort()
        return stream
    for index in range(len(body)):
        await stream.write(body[index : index + 1])
        await asyncio.sleep(fault.options["seconds"])
    await stream.write_eof()
    return stream


def _too_big(body: bytes, *, zipped: bool) -> web.Response:
    data = json.loads(body)
    padding = "x" * _PADDING
    data = {**data, "padding": padding} if isinstance(data, dict) else [*data, {"padding": padding}]
    raw = json.dumps(data).encode()
    if not zipped:
        return web.Response(body=raw, content_type="application/json")
    headers = {"Content-Encoding": "gzip"}
    return web.Response(body=gzip.compress(raw, 1), content_type="application/json", headers=headers)


def _changed(value: Any, fault: Fault) -> Any:
    if isinstance(value, list):
        return [_changed(item, fault) for item in value]
    if not isinstance(value, dict):
        return value
    changed: dict[str, Any] = {}
    name = fault.options.get("name")
    for key, item in value.items():
        if isinstance(item, dict | list) and key != name:
            changed[key] = _changed(item, fault)
        elif name is not None and key != name:
            changed[key] = item
        elif fault.kind == "missing_field":
            continue
        elif fault.kind == "wrong_type":
            changed[key] = {"unexpected": True}
        elif fault.kind == "set_field":
            changed[key] = fault.options["value"]
        else:
            changed[key] = _not_finite(key, item, fault)
    return changed


def _without(value: Any, fault: Fault) -> Any:
    if isinstance(value, list):
        return [_without(item, fault) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _without(item, fault) for key, item in value.items() if key not in fault.options["names"]}


def _with_more(value: Any, fault: Fault) -> Any:
    if isinstance(value, list):
        return [_with_more(item, fault) for item in value]
    if not isinstance(value, dict):
        return value
    return {**{key: _with_more(item, fault) for key, item in value.items()}, **_UNKNOWN}


def _not_finite(key: str, item: Any, fault: Fault) -> Any:
    named = fault.options.get("name") is not None
    is_money = named or any(word in key for word in _MONEY)
    if not is_money or isinstance(item, bool) or not isinstance(item, int | float | str):
        return item
    text = "nan" if fault.kind == "nan" else "inf"
    if isinstance(item, str):
        return "NaN" if text == "nan" else "Infinity"
    return float(text)
