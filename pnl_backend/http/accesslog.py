"""The access log: one line a request, without keys, because only known parameters are written with their values.

A log record costs more than the rest of a request, so that requests in quick succession are written as one record of
many lines.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from loguru import logger

GATHER = 0.25  # seconds
MOST_LINES = 500

_SHOWN = frozenset({"period", "limit", "from", "to", "resolution", "format"})
_REDACTED = frozenset({"apikey", "api_key", "api-key", "key", "token", "access_token"})
_PATH_CUT = 120
_VALUE_CUT = 32


class AccessLog:
    """Logs requests and their status at level info; probes of the health routes at debug."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._window: asyncio.TimerHandle | None = None

    def add(
        self, request: web.Request, *, address: str, status: int, size: int | None, seconds: float, request_id: str
    ) -> None:
        """Log one answered request and its duration."""
        method = clean(request.method, 16)
        line = f"{address} {method} {target(request)} {status} {size or 0}B {seconds * 1000:.1f}ms {request_id}"
        if request.path.startswith("/health"):
            logger.debug(line)
            return
        self._lines.append(line)
        if self._window is None or len(self._lines) >= MOST_LINES:
            self.flush()

    def flush(self) -> None:
        """Write the collected lines, and collect again while requests keep coming."""
        if self._window is not None:
            self._window.cancel()
            self._window = None
        if self._lines:
            logger.info("\n".join(self._lines))
            self._lines.clear()
            self._window = asyncio.get_running_loop().call_later(GATHER, self.flush)

    async def close(self, app: web.Application) -> None:  # noqa: ARG002 - a cleanup hook's signature
        """Write the remaining lines."""
        self.flush()
        if self._window is not None:
            self._window.cancel()
            self._window = None


def target(request: web.Request) -> str:
    """Path and known parameters, escaped and cut; a key's value is shown as `***`, an unknown parameter as `…`."""
    path = clean(request.path, _PATH_CUT)
    if not request.query_string:
        return path
    shown = [_shown(name, value) for name, value in list(request.query.items())[:8]]
    return f"{path}?{'&'.join(shown)}"


def clean(text: str, length: int) -> str:
    """A client's string without control characters and of at most about `length` characters."""
    if text.isascii() and text.isprintable() and len(text) <= length:
        return text
    cut = text[:length].encode("unicode_escape").decode("ascii")
    return cut if len(text) <= length else f"{cut}…"


def _shown(name: str, value: str) -> str:
    if name in _SHOWN:
        return f"{name}={clean(value, _VALUE_CUT)}"
    return f"{name}=***" if name.lower() in _REDACTED else "…"
