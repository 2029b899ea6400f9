"""One line a request, in which no key can stand: only parameters that we know are written with their values."""

from __future__ import annotations

import time

from aiohttp import web
from loguru import logger

_SHOWN = frozenset({"period", "limit", "from", "to", "resolution", "format"})
_REDACTED = frozenset({"apikey", "api_key", "api-key", "key", "token", "access_token"})
_PATH_CUT = 120
_VALUE_CUT = 32


def log_access(
    request: web.Request, *, address: str, status: int, size: int | None, start: float, request_id: str
) -> None:
    """`start` is a `time.perf_counter()` reading. Probes of health routes go to debug."""
    millis = (time.perf_counter() - start) * 1000
    line = f"{address} {clean(request.method, 16)} {target(request)} {status} {size or 0}B {millis:.1f}ms {request_id}"
    if request.path.startswith("/health"):
        logger.debug(line)
    else:
        logger.info(line)


def target(request: web.Request) -> str:
    """Path and known parameters, escaped and cut; a key's value becomes `***`, whatever we do not know `…`."""
    path = clean(request.path, _PATH_CUT)
    if not request.query_string:
        return path
    shown = [_shown(name, value) for name, value in list(request.query.items())[:8]]
    return f"{path}?{'&'.join(shown)}"


def clean(text: str, length: int) -> str:
    """A client's string without control characters, braces of markup or more than `length` characters."""
    if text.isascii() and text.isprintable() and len(text) <= length:
        return text
    cut = text[:length].encode("unicode_escape").decode("ascii")
    return cut if len(text) <= length else f"{cut}…"


def _shown(name: str, value: str) -> str:
    if name in _SHOWN:
        return f"{name}={clean(value, _VALUE_CUT)}"
    return f"{name}=***" if name.lower() in _REDACTED else "…"
