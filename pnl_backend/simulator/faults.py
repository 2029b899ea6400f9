"""Ways in which an upstream can go wrong on command, and the aiohttp plumbing that makes it do so."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from aiohttp import web

Upstream = str
_GARBAGE = b'{"data": [{"amount": "12.3\xff\xfe\x00\x9f'
_HTML = "<!doctype html><html><head><title>502</title></head><body><h1>Bad gateway</h1></body></html>"
_PADDING = 9 * 1024 * 1024
_MONEY = ("amount", "balance", "price", "dollars", "invoiced", "collected", "fee", "exposure", "pnl", "_fp")


@dataclass(frozen=True)
class Fault:
    """One way to fail; `times` is how many requests it takes (None: until cleared), `path` which ones.

    Build it by its class methods: `Fault.status(500, times=5)`, `Fault.hang()`.
    """

    kind: str
    times: int | None = None
    path: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    KINDS: ClassVar[tuple[str, ...]] = (
        "hang",
        "slow",
        "drip",
        "status",
        "rate_limit",
        "garbage",
        "truncated",
        "html",
        "redirect",
        "nan",
        "infinity",
        "missing_field",
        "wrong_type",
        "set_field",
        "too_big",
        "skew",
        "close",
        "cut",
    )

    @classmethod
    def make(cls, kind: str, *, times: int | None = None, path: str = "", **options: Any) -> Fault:
        """A fault by its name, as the control route does it; ValueError for a name or an option it lacks."""
        if kind not in cls.KINDS:
            raise ValueError(f"no such fault: {kind}; there are {', '.join(cls.KINDS)}")
        try:
            fault: Fault = getattr(cls, kind)(**options)
        except TypeError as error:
            raise ValueError(f"{kind}: {error}") from error
        return replace(fault, times=times, path=path)

    @classmethod
    def _of(cls, kind: str, times: int | None, path: str, **options: Any) -> Fault:
        return cls(kind, times, path, options)

    @classmethod
    def hang(cls, *, times: int | None = None, path: str = "") -> Fault:
        """Take the request and never answer."""
        return cls._of("hang", times, path)

    @classmethod
    def slow(cls, seconds: float = 1.0, *, times: int | None = None, path: str = "") -> Fault:
        """Answer rightly, but late."""
        return cls._of("slow", times, path, seconds=seconds)

    @classmethod
    def drip(cls, seconds: float = 0.2, *, times: int | None = None, path: str = "") -> Fault:
        """Send the right answer a byte at a time, `seconds` apart."""
        return cls._of("drip", times, path, seconds=seconds)

    @classmethod
    def status(
        cls, code: int = 500, *, retry_after: float | None = None, times: int | None = None, path: str = ""
    ) -> Fault:
        """Answer with an HTTP status and that upstream's own error body."""
        return cls._of("status", times, path, code=code, retry_after=retry_after)

    @classmethod
    def rate_limit(cls, retry_after: float | None = None, *, times: int | None = None, path: str = "") -> Fault:
        """Answer 429; Kalshi sends no Retry-After unless one is given here."""
        return cls._of("rate_limit", times, path, retry_after=retry_after)

    @classmethod
    def garbage(cls, *, times: int | None = None, path: str = "") -> Fault:
        """Bytes that are neither JSON nor UTF-8, called application/json."""
        return cls._of("garbage", times, path)

    @classmethod
    def truncated(cls, *, times: int | None = None, path: str = "") -> Fault:
        """The first half of the right JSON, complete as far as HTTP can tell."""
        return cls._of("truncated", times, path)

    @classmethod
    def html(cls, code: int = 200, *, times: int | None = None, path: str = "") -> Fault:
        """A proxy's page instead of JSON."""
        return cls._of("html", times, path, code=code)

    @classmethod
    def redirect(cls, location: str = "/login", code: int = 302, *, times: int | None = None, path: str = "") -> Fault:
        """Send the caller elsewhere."""
        return cls._of("redirect", times, path, location=location, code=code)

    @classmethod
    def nan(cls, name: str | None = None, *, times: int | None = None, path: str = "") -> Fault:
        """NaN in every money field, or in the named one: a bare NaN for a number, "NaN" for a string."""
        return cls._of("nan", times, path, name=name)

    @classmethod
    def infinity(cls, name: str | None = None, *, times: int | None = None, path: str = "") -> Fault:
        """Infinity likewise."""
        return cls._of("infinity", times, path, name=name)

    @classmethod
    def missing_field(cls, name: str, *, times: int | None = None, path: str = "") -> Fault:
        """The right answer without that field, wherever it stands."""
        return cls._of("missing_field", times, path, name=name)

    @classmethod
    def wrong_type(cls, name: str, *, times: int | None = None, path: str = "") -> Fault:
        """An object where that field's value should be."""
        return cls._of("wrong_type", times, path, name=name)

    @classmethod
    def set_field(cls, name: str, value: Any, *, times: int | None = None, path: str = "") -> Fault:
        """Any JSON value in that field, wherever it stands."""
        return cls._of("set_field", times, path, name=name, value=value)

    @classmethod
    def too_big(cls, *, gzip: bool = False, times: int | None = None, path: str = "") -> Fault:
        """Valid JSON of over 8 MB; gzipped it is a few kilobytes on the wire."""
        return cls._of("too_big", times, path, gzip=gzip)

    @classmethod
    def skew(cls, seconds: float, *, times: int | None = None, path: str = "") -> Fault:
        """That upstream's clock runs ahead by so many seconds (behind, if negative)."""
        return cls._of("skew", times, path, seconds=seconds)

    @classmethod
    def close(cls, *, times: int | None = None, path: str = "") -> Fault:
        """Drop the connection without an answer."""
        return cls._of("close", times, path)

    @classmethod
    def cut(cls, *, times: int | None = None, path: str = "") -> Fault:
        """Promise the whole body, send half of it and drop the connection."""
        return cls._of("cut", times, path)


class Faults:
    """The faults in force, by upstream and path; a request takes the first that fits."""

    def __init__(self) -> None:
        self._set: dict[Upstream, list[Fault]] = {}
        self._released = asyncio.Event()

    def set(self, upstream: Upstream, fault: Fault, times: int | None = None) -> None:
        """Put a fault in force, in place of the one for the same path."""
        if times is not None:
            fault = replace(fault, times=times)
        others = [held for held in self._set.get(upstream, []) if held.path != fault.path]
        # The narrower path goes first, so that a fault for one endpoint is seen beside one for all.
        self._set[upstream] = sorted([*others, fault], key=lambda held: -len(held.path))

    def clear(self, upstream: Upstream | None = None) -> None:
        """Lift the faults of one upstream or of all; requests that hang are dropped."""
        for name in [upstream] if upstream is not None else list(self._set):
            self._set.pop(name, None)
        self._released.set()
        self._released = asyncio.Event()

    def take(self, upstream: Upstream, path: str) -> Fault | None:
        """The fault for this request, counted down."""
        held = self._set.get(upstream, [])
        for index, fault in enumerate(held):
            if fault.path in path:
                if fault.times is not None:
                    left = fault.times - 1
                    if left <= 0:
                        held.pop(index)
                    else:
                        held[index] = replace(fault, times=left)
                return fault
        return None

    def in_force(self) -> dict[str, list[dict[str, Any]]]:
        """What is set now, for the control route."""
        return {
            name: [
                {"fault": f.kind, "times": f.times, "path": f.path, **{k: v for k, v in f.options.items() if v}}
                for f in held
            ]
            for name, held in self._set.items()
            if held
        }

    async def until_cleared(self) -> None:
        await self._released.wait()


ErrorBody = Callable[[int, float | None], web.Response]


async def before(fault: Fault, request: web.Request, faults: Faults, error: ErrorBody) -> web.StreamResponse | None:
    """What the fault does instead of answering; None if the request is to be answered first."""
    if fault.kind == "slow":
        await asyncio.sleep(fault.options["seconds"])
        return None
    if fault.kind == "hang":
        await faults.until_cleared()
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


async def after(fault: Fault, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
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


def _not_finite(key: str, item: Any, fault: Fault) -> Any:
    named = fault.options.get("name") is not None
    is_money = named or any(word in key for word in _MONEY)
    if not is_money or isinstance(item, bool) or not isinstance(item, int | float | str):
        return item
    text = "nan" if fault.kind == "nan" else "inf"
    if isinstance(item, str):
        return "NaN" if text == "nan" else "Infinity"
    return float(text)
