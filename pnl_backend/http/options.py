"""How the HTTP room is set up: plain values, handed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pnl_backend.access.ratelimit import CLIENTS
from pnl_backend.access.wrongkeys import Authenticator


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Settings of the HTTP room; times in the unit that the name says."""

    authenticator: Authenticator
    """Checks keys; the one that the sockets use too."""
    production: bool = False
    """Hides the detail of 5xx answers and sends HSTS whatever the connection."""
    cors_origins: tuple[str, ...] = ()
    """Origins that browsers may read from; `*` alone allows every origin but `null`."""
    rate_limit_per_minute: int = 100
    """Requests a client may make in 60 s; 0 switches the limit off."""
    rate_limit_clients: int = CLIENTS
    """How many clients are remembered; beyond it the one not seen for longest is forgotten."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose `X-Forwarded-*` headers are believed."""
    metrics_access: Literal["key", "loopback"] = "key"
    """Who may read /metrics: whoever has a key, or whoever asks from this machine."""
    dist: Path | None = None
    """The built dashboard; None, or a folder without index.html, serves a page that says how to get it."""
    connect_sources: tuple[str, ...] = ()
    """Origins beside its own that the dashboard may connect to."""
    passthrough: tuple[str, ...] = ("/socket.io/",)
    """Path prefixes of handlers that do their own auth, limits and CORS."""
    business_zone: ZoneInfo = ZoneInfo("UTC")  # noqa: RUF009 - it cannot change
    """Whose midnights part the days of daily rows."""
    max_body: int = 16 * 1024
    body_timeout: float = 10.0
    access_log: bool = True
    observe: Callable[[str, str, int, float], None] | None = None
    """Told of each answered request: method, route pattern, status, seconds. Both names come from closed sets."""
    version: str = "0"
    """Stands in the OpenAPI document, nowhere else."""
    now_ms: Callable[[], int] = wall_ms
    monotonic: Callable[[], float] = time.monotonic
