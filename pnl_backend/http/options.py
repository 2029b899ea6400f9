"""The options of the HTTP application, as plain values."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pnl_backend.access.ratelimit import CLIENTS, Decision
from pnl_backend.access.wrongkeys import Authenticator

SharedLimit = Callable[[bytes, str], Awaitable[Decision | None]]


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Options of the HTTP application; the name of a time gives its unit."""

    authenticator: Authenticator
    """Checks keys; the sockets use the same one."""
    production: bool = False
    """Hides the detail of 5xx responses and sends HSTS on every connection."""
    cors_origins: tuple[str, ...] = ()
    """Origins that browsers may read from; `*` alone allows every origin but `null`."""
    rate_limit_per_minute: int = 100
    """Requests a client may make in 60 s; 0 switches the limit off."""
    rate_limit_clients: int = CLIENTS
    """How many clients are counted; beyond it the least recently seen one is dropped."""
    shared_limit: SharedLimit | None = None
    """Counts a request of a key's digest and an address together with other nodes; None while that is not possible."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose `X-Forwarded-*` headers are trusted."""
    metrics_access: Literal["key", "loopback"] = "key"
    """Who may read /metrics: clients with a key, or clients on this machine."""
    dist: Path | None = None
    """The built dashboard; None, or a folder without index.html, serves a page with instructions to build it."""
    connect_sources: tuple[str, ...] = ()
    """Origins, besides its own, that the dashboard may connect to."""
    passthrough: tuple[str, ...] = ("/socket.io/",)
    """Path prefixes of handlers that do their own authentication, limits and CORS."""
    business_zone: ZoneInfo = ZoneInfo("UTC")  # noqa: RUF009 - it cannot change
    """The time zone of the days of daily rows."""
    max_body: int = 16 * 1024
    body_timeout: float = 10.0
    access_log: bool = True
    observe: Callable[[str, str, int, float], None] | None = None
    """Called after each request with method, route pattern, status and seconds; both names are from fixed sets."""
    version: str = "0"
    """Shown in the OpenAPI document only."""
    now_ms: Callable[[], int] = wall_ms
    monotonic: Callable[[], float] = time.monotonic
